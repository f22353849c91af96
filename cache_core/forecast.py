"""What a reused value is, given the values computed so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from .schedule import Position


@dataclass(frozen=True)
class Snapshot:
    """A computed value and the evaluation it belongs to."""

    position: Position
    value: Tensor


class Forecast(Protocol):
    """Extrapolates the newest snapshots to the position of a skipped evaluation."""

    @property
    def depth(self) -> int:
        """How many snapshots are worth keeping."""

    def predict(self, snapshots: Sequence[Snapshot], at: Position) -> Tensor:
        """The value at ``at`` from one or more snapshots, oldest first.

        The caller never writes into the result, so a stored tensor itself may be returned.
        """


@dataclass(frozen=True)
class Hold:
    """Plain reuse: the last computed value."""

    depth: int = 1

    def predict(self, snapshots: Sequence[Snapshot], at: Position) -> Tensor:
        """The newest value, whatever ``at``."""
        return snapshots[-1].value
