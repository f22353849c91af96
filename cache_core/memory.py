"""How much memory a run's cache will hold, known before it starts; and running out of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Protocol

import torch

from .forms import kept_dtype, shapes_of
from .keeping import Keeping
from .vocabulary import CacheDtype, CacheLevel, CfgMode

if TYPE_CHECKING:
    from .run import Run

MIB = 1024 * 1024

NO_ROOM = ("out of memory", "can't allocate memory", "not enough memory")
"""What errors of torch's allocators say where they are of no kind of their own."""


@dataclass(frozen=True)
class Sizes:
    """What the model works on in one call, for one of its branches.

    rows: the batch. branches: conditions that are evaluated. output: [channels, frames, height,
    width] of what the model puts out. tokens, dim: of its hidden state. dtype: it computes in.
    """

    rows: int
    branches: int
    output: tuple[int, ...]
    tokens: int
    dim: int
    dtype: torch.dtype

    @property
    def latent(self) -> int:
        """Bytes of the rows that the model puts out, or gets."""
        return self.rows * prod(self.output) * self.dtype.itemsize

    def features(self, downsample: int) -> int:
        """Bytes of every n-th token."""
        tokens = len(range(0, self.tokens, downsample))
        return self.rows * tokens * self.dim * self.dtype.itemsize

    def value(self, level: CacheLevel, dtype: CacheDtype) -> int:
        """Bytes of one kept value of one branch."""
        of_one = (self.tokens, self.dim) if level == "hidden" else self.output
        parts = shapes_of((self.rows, *of_one), kept_dtype(dtype, self.dtype))
        return sum(prod(shape) * kept.itemsize for shape, kept in parts)


class Remembers(Protocol):
    """What has a state of tensors."""

    def state_bytes(self, sizes: Sizes) -> int:
        """Bytes of the tensors that its state holds for one group, at most."""


@dataclass(frozen=True)
class Footprint:
    """Bytes that a cache holds at most: values, and what policies keep to compare with."""

    values: int
    policies: int

    @property
    def total(self) -> int:
        """Wherever they are."""
        return self.values + self.policies

    def on_device(self, keeping: Keeping) -> int:
        """Where the model computes: policies compare there, wherever values are."""
        return self.policies if keeping.device == "cpu" else self.total


def footprint(
    sizes: Sizes,
    level: CacheLevel,
    dtype: CacheDtype,
    depth: int,
    cfg_mode: CfgMode,
    policies: Iterable[Remembers],
    guidance: Remembers | None = None,
) -> Footprint:
    """What a run holds once every branch has ``depth`` values: the formula of its peak.

    policies: those that measure. They learn once for each group of branches that decides.
    guidance: CFG Cache, which learns once.
    """
    groups = 1 if cfg_mode == "cond" else sizes.branches
    learnt = groups * sum(policy.state_bytes(sizes) for policy in policies)
    return Footprint(
        values=sizes.branches * depth * sizes.value(level, dtype),
        policies=learnt + (guidance.state_bytes(sizes) if guidance else 0),
    )


def tokens_of(size: Sequence[int], patch: Sequence[int]) -> int:
    """Tokens of a latent of (frames, height, width) cut into patches; the last ones are padded."""
    return prod(-(-length // by) for length, by in zip(size, patch, strict=True))


def settle(run: Run, free: int) -> None:
    """The device has so many bytes free before the first step: where ``auto`` keeps values."""
    options, need = run.config.options, run.footprint.values if run.footprint else 0
    keeping = Keeping.chosen(options.cache_device, options.cache_dtype, need, free)
    if keeping != run.store.keeping:
        run.trace.note(short_of_memory(need, free))
    run.store.keeping = run.trace.keeping = keeping


def short_of_memory(need: int, free: int) -> str:
    """Why ``auto`` keeps values in RAM, in words."""
    return (
        f"values are kept in RAM: they take {need / MIB:.1f} MiB, and {free / MIB:.1f} MiB of the "
        "device's memory are free"
    )


def is_out_of_memory(error: Exception) -> bool:
    """True where an allocator found no room, whichever it was."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in NO_ROOM)
