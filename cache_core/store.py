"""Where computed values live between evaluations: one history per branch, bytes accounted for."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from .decision import Reason
from .forecast import Owed
from .schedule import Position

Signature = tuple[Hashable, ...]
"""What must not change between recording and reuse: shape, dtype and device of the model input."""

Fill = Callable[[Tensor], object]
"""Writes a value into a buffer."""


class History:
    """The newest values of one branch, oldest first, in buffers that are used in turn.

    owed: the reused steps since the newest value, while a correction is to make them good.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.positions: list[Position] = []
        self.values: list[Tensor] = []
        self.signature: Signature = ()
        self.owed: list[Owed] = []

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(value.nbytes for value in self.values)

    def record(self, position: Position, value: Tensor, signature: Signature) -> None:
        """Keep a copy of ``value``; values recorded under another signature are dropped first."""
        self.fill(position, value, lambda buffer: buffer.copy_(value), signature)

    def fill(self, position: Position, like: Tensor, fill: Fill, signature: Signature) -> None:
        """Keep what ``fill`` writes into a buffer like ``like``; see ``record``.

        The buffer of the oldest value is used again once there are ``depth`` values.
        """
        if signature != self.signature or not self._usable(like):
            self.clear()
            self.signature = signature
        full = len(self.values) == self.depth
        buffer = self.values.pop(0) if full else torch.empty_like(like)
        del self.positions[: 1 if full else 0]
        fill(buffer)
        self.values.append(buffer)
        self.positions.append(position)
        self.owed.clear()

    def reaches(self, evaluation: int) -> bool:
        """True when the newest value is at least as new as ``evaluation``."""
        return bool(self.positions) and self.positions[-1].evaluation >= evaluation

    def lacks(self, computed_at: int | None, signature: Signature) -> Reason | None:
        """Why a reuse cannot start from here: the last computed evaluation, the input's kind."""
        if self.positions and self.signature != signature:
            return Reason.CHANGED
        known = computed_at is not None and self.reaches(computed_at)
        return None if known else Reason.NO_HISTORY

    def owe(self, position: Position, length: float, weights: list[float]) -> None:
        """A step was reused with these weights; see ``Owed``."""
        self.owed.append(Owed(position, length, tuple(weights)))

    def clear(self) -> None:
        """Drop every value."""
        self.positions.clear()
        self.values.clear()
        self.owed.clear()

    def _usable(self, like: Tensor) -> bool:
        """False where a buffer may not be written to: made in another mode, or of another kind."""
        return all(
            value.shape == like.shape
            and value.dtype == like.dtype
            and value.device == like.device
            and (torch.is_inference_mode_enabled() or not value.is_inference())
            for value in self.values
        )


class Store:
    """The histories of a run, by branch key."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.histories: dict[Hashable, History] = {}

    def history(self, key: Hashable) -> History:
        """The history of a branch, empty when it is new."""
        return self.histories.setdefault(key, History(self.depth))

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return sum(history.nbytes for history in self.histories.values())

    def clear(self) -> None:
        """Drop every value."""
        self.histories.clear()
