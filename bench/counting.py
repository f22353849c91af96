"""Counts what an evaluation does: waits for the device, new memory, blocks of the model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

READS = ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__")
"""Methods of a tensor that wait for its value."""


@dataclass(frozen=True)
class Counts:
    """What was counted so far, or in an evaluation.

    reads: times that Python waited for the value of a tensor. allocations, allocated: new memory,
    in pieces and bytes. own_...: the pack's part of them. blocks: of the model, that ran.
    """

    reads: int = 0
    own_reads: int = 0
    allocations: int = 0
    allocated: int = 0
    own_allocations: int = 0
    own_allocated: int = 0
    blocks: int = 0

    def since(self, before: Counts) -> Counts:
        """What has been added."""
        return Counts(*(b - a for a, b in zip(astuple(before), astuple(self), strict=True)))


class Counter(TorchDispatchMode):
    """Counts while it is entered. ours: tells whether the pack is at work."""

    def __init__(self, ours: Callable[[], bool]) -> None:
        super().__init__()
        self.ours = ours
        self.reads = self.own_reads = self.blocks = 0
        self.allocations = self.allocated = self.own_allocations = self.own_allocated = 0

    def counts(self) -> Counts:
        """So far."""
        return Counts(*(getattr(self, name) for name in Counts.__dataclass_fields__))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operation: memory of its results that no argument brought is new."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        known = {place_of(value) for value in tree_leaves((args, kwargs)) if is_tensor(value)}
        found = [value for value in tree_leaves(result) if is_tensor(value)]
        new = {place_of(value): value.untyped_storage().nbytes() for value in found}
        self._allocate([nbytes for place, nbytes in new.items() if place not in known and nbytes])
        return result

    def _allocate(self, sizes: list[int]) -> None:
        self.allocations += len(sizes)
        self.allocated += sum(sizes)
        if self.ours():
            self.own_allocations += len(sizes)
            self.own_allocated += sum(sizes)

    def read(self) -> None:
        """Python waited for a value."""
        self.reads += 1
        self.own_reads += self.ours()

    def block(self, *_: Any) -> None:
        """A block of the model ran."""
        self.blocks += 1


def is_tensor(value: Any) -> bool:
    """A tensor that has memory."""
    return isinstance(value, Tensor) and value.device.type != "meta"


def place_of(tensor: Tensor) -> int:
    """Where its memory is."""
    return tensor.untyped_storage().data_ptr()


@contextmanager
def counting(ours: Callable[[], bool], blocks: Any) -> Iterator[Counter]:
    """A counter of all that runs in it, and of these blocks of a model."""
    counter, depth = Counter(ours), [0]
    handles = [block.register_forward_hook(counter.block) for block in blocks]
    old = {name: getattr(Tensor, name) for name in READS}

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def reading(self: Tensor, *args: Any, **kwargs: Any) -> Any:
            depth[0] += 1
            try:
                if depth[0] == 1:  # one of them may call another
                    counter.read()
                return original(self, *args, **kwargs)
            finally:
                depth[0] -= 1

        return reading

    try:
        for name, original in old.items():
            setattr(Tensor, name, counted(original))
        with counter:
            yield counter
    finally:
        for name, original in old.items():
            setattr(Tensor, name, original)
        for handle in handles:
            handle.remove()


def peak_bytes(run: Callable[[], Any]) -> int:
    """The most memory that tensors of a run held at once, beyond what there was before."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        run()
    held = most = 0
    events = profile.profiler.kineto_results.events()
    for event in sorted(events, key=lambda one: one.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most
