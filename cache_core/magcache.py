"""MagCache: steps are reused while the residual's known change of magnitude adds up to little.

The rule of Zehong-Ma/MagCache (NeurIPS 2025, magcache_generate.py): the magnitude of the residual
of the block stack falls from step to step by a ratio that hardly depends on prompt and seed. The
ratios since the last computed step are multiplied, the product's distances to 1 are added up, and
below the threshold the step is reused, at most K times in a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

from .decision import Reason
from .errors import require
from .policy import Look, Seen, Verdict
from .timetable import Cumulative, Outlook, Timetable


@dataclass(frozen=True)
class Curve:
    """Magnitude ratios measured over one schedule: ``ratios[branch][step]``, the first is padding.

    sigmas: the noise level each calibrated step starts at. measured: these are the very sigmas of
    the measurement, on this model; those of a published curve are assumed.
    """

    sigmas: tuple[float, ...]
    ratios: tuple[tuple[float, ...], ...]
    measured: bool = False

    def over(self, row: tuple[float, ...], outlook: Outlook) -> tuple[float, ...]:
        """The ratio of every step of a run to the one before.

        Ratios compound: one between two sigmas is the product of those calibrated between them.
        """
        total = Cumulative.of(self.sigmas, [log(ratio) for ratio in row])
        logs = total.embedded(outlook) if self.measured else total.increments(outlook.sigmas)
        return tuple(map(exp, logs))


@dataclass(frozen=True)
class MagState:
    """Since the last computed step: product of the ratios, accumulated error, steps."""

    ratio: float = 1.0
    error: float = 0.0
    steps: int = 0


@dataclass(frozen=True)
class MagCache:
    """MagCache's numbers: E and K of the paper (R is a guard), and the curve they apply to."""

    threshold: float
    most_skips: int
    curve: Curve
    name: str = "MagCache"
    looks_at: Look = "schedule"

    def __post_init__(self) -> None:
        require(0 <= self.threshold <= 10, "magcache_thresh", self.threshold, "0 to 10")
        require(self.most_skips >= 0, "magcache_K", self.most_skips, "0 (reuse nothing) or more")

    def describe(self) -> str:
        """The numbers in force."""
        return f"E {self.threshold:g}, K {self.most_skips}"

    def timetable(self, outlook: Outlook) -> Timetable:
        """For every branch the ratio of each step of the run to the one before."""
        rows = [self.curve.over(row, outlook) for row in self.curve.ratios]
        outside = Cumulative.of(self.curve.sigmas, self.curve.ratios[0]).outside(outlook.sigmas)
        told = f"{outside} of {len(outlook.sigmas)} steps outside the calibrated schedule"
        return Timetable(tuple(rows), (told,) if outside else ())

    def start(self) -> MagState:
        """A step just computed."""
        return MagState()

    def judge(self, state: MagState, distance: float) -> tuple[Verdict, MagState]:
        """Reuse while the accumulated error stays below E, at most K times; strictly, as upstream.

        ``distance`` is the step's ratio.
        """
        ratio = state.ratio * distance
        error = state.error + abs(1 - ratio)
        after = MagState(ratio, error, state.steps + 1)
        if after.steps > self.most_skips:
            return Verdict(False, error, Reason.MAX_SKIPS), after
        return Verdict(error < self.threshold, error), after

    def computed(self, state: MagState, seen: Seen) -> MagState:
        """Everything starts anew."""
        return MagState()
