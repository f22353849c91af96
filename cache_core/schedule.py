"""Where an evaluation stands in the sampling schedule, from its sigma alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import StepCacheError

RELATIVE_TOLERANCE = 1e-4
"""Samplers round sigmas a little; the host compares them with the same tolerance."""


@dataclass(frozen=True)
class Position:
    """One model evaluation: its running number, the step it falls in, its noise level."""

    evaluation: int
    step: int
    sigma: float

    def leaves_out(self, last: Position) -> bool:
        """True when whole steps, and so evaluations, lie between ``last`` and here."""
        return self.evaluation - last.evaluation > 1 and self.step - last.step > 1


@dataclass(frozen=True)
class Schedule:
    """The sigmas of one sampling: ``steps + 1`` values, as a rule from noisy to clean."""

    sigmas: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.sigmas) < 2:
            raise StepCacheError(
                f"A schedule needs two sigmas at least, got {list(self.sigmas)}: check the steps."
            )

    @classmethod
    def of(cls, sigmas: Sequence[float]) -> Schedule:
        """Any sequence of numbers as a schedule."""
        return cls(tuple(float(sigma) for sigma in sigmas))

    @property
    def steps(self) -> int:
        """How many steps the sampler makes."""
        return len(self.sigmas) - 1

    def length(self, step: int) -> float:
        """How far the sampler goes in a step, in sigma; negative for falling noise."""
        return self.sigmas[step + 1] - self.sigmas[step]

    def holds(self, sigma: float) -> bool:
        """True for a noise level between the schedule's ends, above 0."""
        return 0 < sigma <= max(self.sigmas) * (1 + RELATIVE_TOLERANCE)

    def went_back(self, sigma: float, before: Sequence[float]) -> bool:
        """True for a noise level on the wrong side of all the last ones.

        Samplers may look a step or two ahead and come back; those that go further start anew.
        """
        if self.sigmas[0] < self.sigmas[-1]:
            return bool(before) and sigma < min(before) * (1 - RELATIVE_TOLERANCE)
        return bool(before) and sigma > max(before) * (1 + RELATIVE_TOLERANCE)

    def step_of(self, sigma: float) -> int:
        """The step whose interval [sigma[i], sigma[i + 1]) of falling noise holds ``sigma``.

        An evaluation between two schedule points (the second stage of a two-stage sampler)
        belongs to the step it falls in, one at a schedule point to the step that starts there.
        A schedule that rises (sampling towards noise) is read in its own direction.
        """
        if self.sigmas[0] < self.sigmas[-1]:
            return max(bisect_right(self.sigmas[:-1], sigma * (1 + RELATIVE_TOLERANCE)) - 1, 0)
        rising = [-value for value in self.sigmas[:-1]]
        return max(bisect_right(rising, -sigma * (1 - RELATIVE_TOLERANCE)) - 1, 0)


class Course:
    """Where the evaluations of a run have been.

    jumped: the last one that had to start anew. furthest: the last step reached since then.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.levels: list[float] = []
        self.astray = False
        self.jumped: int | None = None
        self.furthest = -1

    def jumps(self, position: Position) -> bool:
        """An evaluation is there: is it no continuation of what is known so far?

        It went back in noise, or is outside the schedule, or comes back from there.
        """
        came_back, self.astray = self.astray, not self.schedule.holds(position.sigma)
        jumps = came_back or self.astray or self.schedule.went_back(position.sigma, self.levels)
        if jumps:
            self.jumped, self.levels, self.furthest = position.evaluation, [], -1
        self.levels = [*self.levels[-1:], position.sigma]
        return jumps

    def advances(self, position: Position) -> bool:
        """An evaluation is there: is it the first of its step? Samplers may look ahead."""
        advances = position.step > self.furthest
        self.furthest = max(self.furthest, position.step)
        return advances
