"""Where values are kept and as what, and the copies to RAM that run beside the computation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import Literal

import torch
from torch import Tensor

from .forms import Fill, Parts, by_rows, kept_dtype, pack, shapes_of, unpack
from .vocabulary import CacheDevice, CacheDtype

CPU = torch.device("cpu")

MOST = 0.5
"""Share of the free memory that ``auto`` takes: the model's activations need the rest."""


@dataclass(frozen=True)
class Keeping:
    """How a run keeps its values.

    device: ``gpu`` is the device they were computed on, ``cpu`` is RAM. dtype: ``model`` is what
    they were computed in.
    """

    device: Literal["gpu", "cpu"] = "gpu"
    dtype: CacheDtype = "model"

    @classmethod
    def chosen(
        cls, device: CacheDevice, dtype: CacheDtype, need: float = 0, free: float = inf
    ) -> Keeping:
        """What the options mean where values need so many bytes and the device has so many free."""
        if device == "auto":
            device = "cpu" if need > MOST * free else "gpu"
        return cls(device, "model" if dtype == "auto" else dtype)

    def describe(self) -> str:
        """What is not plain about it, for logs; empty for values kept as they were computed."""
        place = " in RAM" if self.device == "cpu" else ""
        return place if self.dtype == "model" else f"{place} as {self.dtype}"


PLAIN = Keeping()
"""On the device and as computed."""


class SideStream:
    """Copies beside what a device computes, or (``overlaps`` false) in turn where it cannot."""

    def __init__(self, device: torch.device, overlaps: bool) -> None:
        self.overlaps = overlaps
        if overlaps:
            self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def copy(self, sources: Parts, targets: Parts) -> torch.cuda.Event | None:
        """Copy once ``sources`` are computed; what tells when it is done, for ``wait``."""
        if not self.overlaps:
            self._copy(sources, targets)
            return None
        self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))
        with torch.cuda.stream(self.stream):
            self._copy(sources, targets)
        for source in sources:
            source.record_stream(self.stream)  # its memory is not used again before the copy ends
        done: torch.cuda.Event = self.stream.record_event()
        return done

    def wait(self, done: torch.cuda.Event | None) -> None:
        """What is computed from here on comes after the copy."""
        if done is not None:
            torch.cuda.current_stream(self.stream.device).wait_event(done)

    def _copy(self, sources: Parts, targets: Parts) -> None:
        for source, target in zip(sources, targets, strict=True):
            target.copy_(source, non_blocking=self.overlaps)


@cache
def side_stream(device: torch.device, overlaps: bool) -> SideStream:
    """The one stream for copies of a device."""
    return SideStream(device, overlaps)


class Slot:
    """One kept value, in buffers that can be written again with values of the same kind.

    shape, dtype, device: of the value as it was computed. parts: it, as it is kept.
    """

    def __init__(self, like: Tensor, keeping: Keeping) -> None:
        self.shape, self.dtype, self.device = like.shape, like.dtype, like.device
        self.kind = shapes_of(self.shape, kept_dtype(keeping.dtype, self.dtype))
        self.away = keeping.device == "cpu"
        self.stream = side_stream(self.device, like.is_cuda)
        pinned = self.away and self.stream.overlaps
        self.parts = self._buffers(CPU if self.away else self.device, pinned)
        self.copied: torch.cuda.Event | None = None

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(part.nbytes for part in self.parts)

    def takes(self, like: Tensor) -> bool:
        """False where values like this may not be written here: of another kind or mode."""
        same = (self.shape, self.dtype, self.device) == (like.shape, like.dtype, like.device)
        return same and (torch.is_inference_mode_enabled() or not self.parts[0].is_inference())

    def write(self, fill: Fill) -> None:
        """Keep what ``fill`` writes; a copy to RAM does not hold up what is computed next."""
        packed = self._buffers(self.device) if self.away else self.parts
        pack(fill, self.dtype, packed)
        if self.away:
            self.copied = self.stream.copy(packed, self.parts)

    def rows(self, part: slice, device: torch.device) -> Tensor:
        """These rows [rows, width] of the value in fp32 on a device."""
        self.stream.wait(self.copied)
        beside = self.stream.overlaps and self.away
        # first to the device, then to fp32: a conversion in RAM would not wait for the copy
        return unpack([by_rows(p)[part].to(device, non_blocking=beside) for p in self.parts])

    def _buffers(self, device: torch.device, pinned: bool = False) -> Parts:
        return tuple(
            torch.empty(shape, dtype=dtype, device=device, pin_memory=pinned)
            for shape, dtype in self.kind
        )


def rows_of(value: Tensor | Slot, device: torch.device) -> Callable[[slice], Tensor]:
    """Reads rows [rows, width] of a value, kept or just computed, in fp32 on a device."""
    if isinstance(value, Slot):
        return lambda part: value.rows(part, device)
    flat = by_rows(value)
    return lambda part: flat[part].to(device, torch.float32)
