"""A static policy with distances for each branch that reuses only when all branches agree."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

from .policy import Look, Seen, Static, Verdict
from .timetable import Outlook, Timetable


@dataclass(frozen=True)
class Unanimous:
    """``policy`` asked once for every row of its timetable; a state is one of it for each row."""

    policy: Static
    table: Timetable

    @property
    def name(self) -> str:
        """The method's name as users know it."""
        return self.policy.name

    @property
    def looks_at(self) -> Look:
        """The schedule."""
        return "schedule"

    def describe(self) -> str:
        """The numbers in force."""
        return self.policy.describe()

    def timetable(self, outlook: Outlook) -> Timetable:
        """The step instead of a distance, which every row has its own of; NaN if one has none."""
        columns = zip(*self.table.rows, strict=True)
        steps = (float(i) if all(map(isfinite, col)) else nan for i, col in enumerate(columns))
        return Timetable((tuple(steps),), self.table.notes)

    def start(self) -> tuple[Any, ...]:
        """Every row's."""
        return tuple(self.policy.start() for _ in self.table.rows)

    def judge(self, state: tuple[Any, ...], distance: float) -> tuple[Verdict, tuple[Any, ...]]:
        """To reuse if all verdicts are; of those to compute, or of all, the largest metric."""
        pairs = zip(state, self.table.rows, strict=True)
        judged = [self.policy.judge(one, row[int(distance)]) for one, row in pairs]
        verdict = min((verdict for verdict, _ in judged), key=lambda v: (v.reuse, -v.metric))
        return verdict, tuple(after for _, after in judged)

    def computed(self, state: tuple[Any, ...], seen: Seen) -> tuple[Any, ...]:
        """Every row's."""
        return tuple(self.policy.computed(one, seen) for one in state)
