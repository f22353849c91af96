"""What a run keeps by key, bounded where keys change from step to step."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .run import Run

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

class Recent(dict[K, V]):
    """Entries in the order of their last use: as many as two neighbouring steps have used at most.

    A run that uses the same keys in every step, or some of them in a few steps only, never loses
    one. Where keys are new in every step (context windows that move), the least recently used go.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now: set[K] = set()
        self.before: set[K] = set()
        self.most = 0
        self.dropped = 0

    def step(self) -> None:
        """The sampler goes on to its next step."""
        self.before, self.now = self.now, set()

    def use(self, key: K, make: Callable[[], V]) -> V:
        """The entry of ``key``, made if it is new; others are dropped before it takes room."""
        self.now.add(key)
        self.most = max(self.most, len(self.now | self.before))
        entry = self.pop(key) if key in self else make()
        while len(self) >= self.most:
            del self[next(iter(self))]
            self.dropped += 1
        self[key] = entry
        return entry


def next_step(run: Run) -> None:
    """The sampler of ``run`` goes on to its next step."""
    kept: list[Recent[Any, Any]] = [run.store.histories, run.groups, run.alarm.known]
    kept += [run.guidance.differences] if run.guidance else []
    for entries in kept:
        entries.step()
