"""Processes that sample one video together, each with a part of the tokens, and decide as one.

Engines that split the sequence (Ulysses, ring attention) run the whole sampler on every rank. A
rank that skips the model while another runs it would leave that one waiting inside the model for
ever, so the ranks average what they measure, and agree before any of them reuses.

Every rank has to send as often as the others, whatever fails on it: what is sent depends on the
configuration and the model's calls alone, never on what was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

Measure = Tensor | float | None
"""A distance: a scalar still on the device, a number, or not known."""

CPU = torch.device("cpu")


class Ranks:
    """The processes that sample together with this one, by default none.

    group: their process group, None alone. device: where the group takes its tensors from.
    intact: False since this rank dropped what it had cached.
    """

    def __init__(self, group: ProcessGroup | None = None, device: torch.device = CPU) -> None:
        self.group = group
        self.device = device
        self.intact = True

    @classmethod
    def of(cls, wish: ProcessGroup | str | None, device: torch.device) -> Ranks:
        """The ranks of a group, by default torch's; none for a word (``off``) or a group of one.

        device: where the model runs; a gloo group sends from the CPU.
        """
        initialised = dist.is_available() and dist.is_initialized()
        if not initialised or isinstance(wish, str):
            return cls()
        group = wish or dist.group.WORLD
        if dist.get_world_size(group) < 2:
            return cls()
        return cls(group, CPU if "gloo" in dist.get_backend(group) else device)

    @property
    def alone(self) -> bool:
        """True when there is nobody to agree with: nothing is ever sent."""
        return self.group is None

    def averaged(self, measures: Sequence[Measure]) -> Sequence[Measure]:
        """Each measure's mean over the ranks, in one all_reduce; what is not known here stays so.

        Not a number where another rank knows none: it may have failed to measure.
        """
        if self.alone or not measures:
            return measures
        values = torch.stack([self._scalar(measure) for measure in measures])
        dist.all_reduce(values, group=self.group)
        means = (values / dist.get_world_size(self.group)).unbind()
        return [None if m is None else mean for m, mean in zip(measures, means, strict=True)]

    def agree(self, ok: bool, drop: Callable[[], None]) -> bool:
        """True when all ranks say so and have kept what they cached; else all ``drop`` it."""
        if self.alone:
            return ok
        flags = torch.tensor([ok, self.intact], dtype=torch.int32, device=self.device)
        dist.all_reduce(flags, dist.ReduceOp.MIN, group=self.group)
        agreed, intact = flags.tolist()
        if not intact:
            drop()
        self.intact = True
        return bool(agreed and intact)

    def _scalar(self, measure: Measure) -> Tensor:
        value = float("nan") if measure is None else measure
        return torch.as_tensor(value, dtype=torch.float32).detach().reshape(()).to(self.device)
