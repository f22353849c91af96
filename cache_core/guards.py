"""When a method may not reuse, whatever its metric says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from .config import GuardDefaults, Options
from .decision import Reason
from .masks import COMPUTE, FREE
from .schedule import RELATIVE_TOLERANCE, Position


@dataclass(frozen=True)
class Guards:
    """When a method may not reuse whatever its metric says; noise levels as sigmas.

    letters: of a step mask for the run's steps, empty without one. Where it says what a step does,
    only the window is left of the guards.
    """

    start_sigma: float
    end_sigma: float
    warmup_steps: int
    last_steps: int
    max_consecutive_skips: int | None
    letters: str = ""

    def letter(self, step: int) -> str:
        """What the step mask says of a step of the run."""
        return self.letters[step] if self.letters else FREE

    def describe(self) -> str:
        """The guards in force, in one short phrase for logs and reports."""
        most = self.max_consecutive_skips
        window = (
            ""
            if (self.start_sigma, self.end_sigma) == (inf, 0.0)
            else ", window " + (f"sigma {self.start_sigma:.3f} to {self.end_sigma:.3f}")
        )
        limit = "" if most is None else f", at most {most} reused in a row"
        mask = f", step mask {self.letters}" if self.letters else ""
        ends = f"first {self.warmup_steps} and last {self.last_steps} computed"
        return f"{ends}{limit}{window}{mask}"

    def forbids(self, position: Position, steps: int, skips_in_row: int) -> Reason | None:
        """The reason this evaluation has to be computed, or None when a reuse is allowed."""
        least, most = (s * (1 + RELATIVE_TOLERANCE) for s in (self.end_sigma, self.start_sigma))
        if not least < position.sigma <= most:
            return Reason.OUTSIDE_WINDOW
        letter = self.letter(position.step)
        if letter != FREE:
            return Reason.MASK if letter == COMPUTE else None
        if position.step < self.warmup_steps:
            return Reason.WARM_UP
        if position.step >= steps - self.last_steps:
            return Reason.LAST_STEPS
        if self.max_consecutive_skips is not None and skips_in_row >= self.max_consecutive_skips:
            return Reason.MAX_SKIPS
        return None


def guards_of(
    options: Options,
    defaults: GuardDefaults,
    steps: int,
    percent_to_sigma: Callable[[float], float],
    before: int = 0,
    letters: str = "",
) -> Guards:
    """The guards in force for a run of ``steps`` steps: the options, else the preset's defaults.

    letters: of the step mask, one for each step of the run.
    ``percent_to_sigma`` is the host's map from percent of the whole schedule to sigma, so that a
    window means the same in both halves of a split sampling. The warm-up is one of the ``before``
    steps made by earlier samplings of the same expert and these steps: what is left of it counts.
    """
    start = inf if options.start_percent <= 0 else percent_to_sigma(options.start_percent)
    end = 0.0 if options.end_percent >= 1 else percent_to_sigma(options.end_percent)
    warmup = options.warmup_steps
    warmup = defaults.warmup(before + steps) if warmup is None else warmup
    last = options.last_steps
    most = options.max_consecutive_skips
    most = defaults.max_consecutive_skips if most is None else most
    if options.alternating:
        most = 1 if most is None else min(most, 1)
    return Guards(
        start_sigma=float(start),
        end_sigma=float(end),
        warmup_steps=max(0, warmup - before),
        last_steps=defaults.last_steps if last is None else last,
        max_consecutive_skips=most,
        letters=letters,
    )
