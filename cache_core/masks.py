"""Step masks: a schedule of the user's own, which says what a step does instead of a method."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .errors import StepCacheError, require
from .identity import percent_of

COMPUTE, REUSE = "1", "0"
FREE = "."
"""A step on which the method decides."""

RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
EVEN_WITHIN = 0.3
"""Steps. Schedulers that are even in percent round to timesteps: simple, sgm_uniform to 0.2."""

REMEDY = (
    "1 (compute), 0 (reuse) or . (as the method decides) for every step, or the steps to compute, "
    "counted from 1, such as 1-6, 8, 20"
)


@dataclass(frozen=True)
class Mask:
    """What the steps of a whole schedule do.

    letters: 1, 0 or . for each step. exact: the schedule has as many steps; else it has at least
    so many, and further ones are reused.
    """

    letters: str
    exact: bool

    def fits(self, steps: int) -> bool:
        """True when a schedule of ``steps`` steps is one that the mask was written for."""
        return len(self.letters) == steps if self.exact else len(self.letters) <= steps

    def part(self, first: int, steps: int) -> str:
        """The letters of ``steps`` steps from step ``first`` on, counted from 0."""
        return self.letters.ljust(first + steps, REUSE)[first : first + steps]

    def describe(self) -> str:
        """How long it is, in words."""
        count = len(self.letters)
        return f"{count} letters" if self.exact else f"steps up to {count}"


@dataclass(frozen=True)
class PlacedMask:
    """The letters of one run's steps, none without a mask; and what to say of them, if anything."""

    letters: str = ""
    note: str = ""


def parse_mask(text: str) -> Mask | None:
    """The mask that a text spells, None for an empty one; StepCacheError if it spells none.

    Text of 0, 1 and dots alone is a letter for every step, so ``10`` is two of them; blanks, commas
    and line breaks are there for the eye. With any other digit, or a dash, it is the steps to
    compute, counted from 1: steps 1 and 10 alone are ``1-1, 10``.
    """
    if not text.strip():
        return None
    letters = re.sub(r"[\s,]", "", text)
    if set(letters) <= {COMPUTE, REUSE, FREE}:
        require(bool(letters), "step_mask", text, REMEDY)
        return Mask(letters, exact=True)
    return Mask(_letters_of_ranges(text), exact=False)


def _letters_of_ranges(text: str) -> str:
    steps: set[int] = set()
    for part in re.sub(r"\s*-\s*", "-", text).replace(",", " ").split():
        found = RANGE.fullmatch(part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        require(0 < first <= last, "step_mask", text, f"{REMEDY}; {part!r} is neither")
        steps.update(range(first, last + 1))
    return "".join(COMPUTE if step in steps else REUSE for step in range(1, max(steps) + 1))


def require_length(text: str, steps: int) -> None:
    """Refuse a mask for another schedule than one of ``steps`` steps."""
    mask = parse_mask(text)
    if mask is None or mask.fits(steps):
        return
    wanted = "as many letters" if mask.exact else "steps up to that"
    raise StepCacheError(
        f"`step_mask` is {text!r}, {mask.describe()}, but the whole schedule has {steps} steps: "
        f"give it {wanted}, or change the sampler's steps."
    )


def first_step(first_percent: float, whole: int, steps: int) -> int:
    """Which step of a schedule of ``whole`` steps a run of ``steps`` starts with, counted from 0.

    first_percent: of the schedule, 0 to 1, where the run starts. Exact for schedules that are even
    in percent, as ``simple`` is; others are off by as much as they are uneven.
    """
    return min(round(first_percent * whole), whole - steps)


def place(mask: Mask | None, percents: Sequence[float], whole: float | None) -> PlacedMask:
    """What a mask says of the steps of one run.

    percents: of the whole schedule, 0 to 1, where each step of the run starts and the last ends.
    whole: steps of that schedule, as estimated from the run's ends; None if unknown. A mask for
    that schedule is cut to the run's part of it, letters for as many steps as the run has are taken
    as they are. With any other mask everything is computed.
    """
    if mask is None:
        return PlacedMask()
    steps = len(percents) - 1
    total = max(round(whole), steps) if whole else steps
    if mask.fits(total) and (mask.exact or total == steps or even(percents, total)):
        first = first_step(percents[0], total, steps)
        part = f"step mask: this run is taken for steps {first + 1} to {first + steps} of {total}"
        return PlacedMask(mask.part(first, steps), "" if steps == total else part)
    if mask.exact and mask.fits(steps):
        return PlacedMask(mask.letters)
    run = f"{steps} steps" if steps == total else f"{steps} of about {total} steps"
    told = f"the step mask ({mask.describe()}) cannot be placed in this schedule ({run})"
    return PlacedMask(COMPUTE * steps, f"{told}: everything is computed")


def placed(
    text: str,
    sigmas: Sequence[float],
    percent_to_sigma: Callable[[float], float],
    whole: float | None,
) -> PlacedMask:
    """What the mask that a text spells says of a run over these sigmas; see ``place``."""
    mask = parse_mask(text)
    percents = [percent_of(sigma, percent_to_sigma) for sigma in sigmas] if mask else []
    return place(mask, percents, whole)


def even(percents: Sequence[float], whole: int) -> bool:
    """True when steps lie where those of an even schedule of ``whole`` steps would.

    Letters fit one length of schedule, which shows a wrong estimate; the steps of ranges do not.
    """
    return all(
        abs((percent - percents[0]) * whole - step) < EVEN_WITHIN
        for step, percent in enumerate(percents)
    )
