"""Where an evaluation stands in the sampling schedule, from its sigma alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import StepCacheError

RELATIVE_TOLERANCE = 1e-4
"""Samplers round sigmas a little; the host compares them with the same tolerance."""


STAGE_TOLERANCE = 2e-3
"""Some samplers start a little below sigma 1, where log-SNR is infinite."""


@dataclass(frozen=True)
class Position:
    """One model evaluation: its running number, the step it falls in, its noise level.

    ahead: see ``Stage``; 0 where nothing is known of the sampler.
    """

    evaluation: int
    step: int
    sigma: float
    ahead: float = 0.0

    def leaves_out(self, last: Position) -> bool:
        """True when whole steps, and so evaluations, lie between ``last`` and here."""
        return self.evaluation - last.evaluation > 1 and self.step - last.step > 1


@dataclass(frozen=True)
class Stage:
    """An evaluation that a sampler is known to make, of the one or several in a step.

    ahead: how far from the step's start its noise level lies, in steps: 0 at the start, 1 where the
    next step starts, more where the sampler looks ahead.
    """

    step: int
    ahead: float = 0.0


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

    def level(self, stage: Stage) -> float:
        """The noise level of a stage: on the line between the schedule's points."""
        place = min(stage.step + stage.ahead, float(self.steps))
        before = min(int(place), self.steps - 1)
        return self.sigmas[before] + (place - before) * self.length(before)

    def fits(self, stage: Stage, sigma: float) -> bool:
        """True when an evaluation at ``sigma`` can be this stage.

        Where between two points a sampler evaluates is its own affair.
        """
        level = self.level(stage)
        if stage.ahead == int(stage.ahead):
            return abs(sigma - level) <= STAGE_TOLERANCE * abs(level)
        ends = [self.level(Stage(stage.step, ahead)) for ahead in (0, stage.ahead + 1)]
        return min(ends) <= sigma <= max(ends) * (1 + RELATIVE_TOLERANCE)

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
    """Where the evaluations of a run have been, and where the next ones are expected.

    stages: the evaluations that the sampler is known to make, empty if it is not known, and from
    the first one on that is elsewhere. jumped: the last evaluation that had to start anew.
    furthest: the last step reached since then.
    """

    def __init__(self, schedule: Schedule, stages: Sequence[Stage] = ()) -> None:
        self.schedule = schedule
        self.stages = stages
        self.levels: list[float] = []
        self.astray = False
        self.jumped: int | None = None
        self.furthest = -1

    def expected(self) -> list[Position]:
        """The evaluations to come: those that are known, else one at the start of every step."""
        stages = self.stages or [Stage(step) for step in range(self.schedule.steps)]
        return [
            Position(i, stage.step, self.schedule.level(stage), stage.ahead)
            for i, stage in enumerate(stages)
        ]

    def locate(self, evaluation: int, sigma: float) -> Position:
        """The step that an evaluation is counted into, or that its noise level falls in.

        Samplers that evaluate where the next step starts do it twice, once for either step.
        """
        stage = self.stages[evaluation] if evaluation < len(self.stages) else None
        if stage is None or not self.schedule.fits(stage, sigma):
            self.stages = ()
            return Position(evaluation, self.schedule.step_of(sigma), sigma)
        return Position(evaluation, stage.step, sigma, stage.ahead)

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
