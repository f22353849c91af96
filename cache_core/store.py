"""Where computed values live between evaluations: one history per branch, bytes accounted for."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from torch import Tensor

from .forecast import Snapshot
from .schedule import Position

Signature = tuple[Hashable, ...]
"""What must not change between recording and reuse: shape, dtype and device of the model input."""


class History:
    """The newest values of one branch, oldest first."""

    def __init__(self, depth: int) -> None:
        self.snapshots: deque[Snapshot] = deque(maxlen=depth)
        self.signature: Signature = ()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(snapshot.value.nbytes for snapshot in self.snapshots)

    def record(self, position: Position, value: Tensor, signature: Signature) -> None:
        """Keep ``value``; values recorded under another signature are dropped first."""
        if signature != self.signature:
            self.snapshots.clear()
            self.signature = signature
        self.snapshots.append(Snapshot(position, value))

    def reaches(self, evaluation: int) -> bool:
        """True when the newest value is at least as new as ``evaluation``."""
        return bool(self.snapshots) and self.snapshots[-1].position.evaluation >= evaluation


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
