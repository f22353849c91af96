"""A fixed interval: one step in n is computed, the others are forecast.

The decision of TaylorSeer (Shenyi-Z/TaylorSeer, TaylorSeers-Wan2.1): a counter since the last
computed step, which is full at ``interval - 1``. Its ``first_enhance`` is a warm-up like any.
"""

from __future__ import annotations

from dataclasses import dataclass

from .decision import Reason
from .errors import require
from .policy import Look, Seen, Verdict
from .timetable import Outlook, Timetable


@dataclass(frozen=True)
class Interval:
    """Compute one step in ``interval``; 1 computes all."""

    interval: int
    name: str = "TaylorSeer"
    looks_at: Look = "schedule"

    def __post_init__(self) -> None:
        require(self.interval >= 1, "interval", self.interval, "1 (compute everything) or more")

    def describe(self) -> str:
        """The numbers in force."""
        return f"1 step in {self.interval} computed"

    def timetable(self, outlook: Outlook) -> Timetable:
        """Every step is one step further."""
        return Timetable((tuple(1.0 for _ in outlook.sigmas),))

    def start(self) -> float:
        """A step just computed."""
        return 0.0

    def judge(self, state: float, distance: float) -> tuple[Verdict, float]:
        """Reuse until the interval is full; the metric is the steps since the last computed one."""
        steps = state + distance
        return Verdict(steps < self.interval, steps, Reason.INTERVAL), steps

    def computed(self, state: float, seen: Seen) -> float:
        """The interval begins anew."""
        return 0.0
