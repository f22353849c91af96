"""Where computed values live between evaluations: one history per branch, bytes accounted for."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from torch import Tensor

from .decision import Reason
from .forecast import Owed
from .forms import Fill
from .keeping import PLAIN, Keeping, Slot
from .recent import Recent
from .schedule import Position

Signature = tuple[Hashable, ...]
"""What must not change between recording and reuse: shape, dtype and device of the model input."""


class History:
    """The newest values of one branch, oldest first, in buffers that are used in turn.

    slots: the values as they are kept. owed: the reused steps since the newest value, while a
    correction is to make them good. mixed: how many values the last reused one was made of.
    """

    def __init__(self, depth: int, keeping: Keeping = PLAIN) -> None:
        self.depth = depth
        self.keeping = keeping
        self.positions: list[Position] = []
        self.slots: list[Slot] = []
        self.signature: Signature = ()
        self.owed: list[Owed] = []
        self.mixed = 0

    @property
    def values(self) -> list[Tensor]:
        """The numbers that are kept, oldest first, in the dtype and on the device they are in."""
        return [slot.parts[0] for slot in self.slots]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(slot.nbytes for slot in self.slots)

    def record(self, position: Position, value: Tensor, signature: Signature) -> None:
        """Keep a copy of ``value``; values recorded under another signature are dropped first."""
        self.fill(position, value, lambda buffer: buffer.copy_(value), signature)

    def fill(self, position: Position, like: Tensor, fill: Fill, signature: Signature) -> None:
        """Keep what ``fill`` writes into a buffer like ``like``; see ``record``.

        The buffer of the oldest value is used again once there are ``depth`` values.
        """
        if signature != self.signature or not all(slot.takes(like) for slot in self.slots):
            self.clear()
            self.signature = signature
        full = len(self.slots) == self.depth
        slot = self.slots.pop(0) if full else Slot(like, self.keeping)
        del self.positions[: 1 if full else 0]
        slot.write(fill)
        self.slots.append(slot)
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
        self.slots.clear()
        self.owed.clear()


class Store:
    """The histories of a run, by branch key. keeping: of those that are new."""

    def __init__(self, depth: int, keeping: Keeping = PLAIN) -> None:
        self.depth = depth
        self.keeping = keeping
        self.histories: Recent[Hashable, History] = Recent()

    def history(self, key: Hashable) -> History:
        """The history of a branch, empty when it is new."""
        return self.histories.use(key, lambda: History(self.depth, self.keeping))

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return sum(history.nbytes for history in self.histories.values())

    def drop(self, keys: Iterable[Hashable]) -> None:
        """Forget these branches."""
        for key in keys:
            self.histories.pop(key, None)

    def clear(self) -> None:
        """Drop every value."""
        self.histories.clear()
