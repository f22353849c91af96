"""Samplings that go on where an earlier one of the same expert stopped."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from .schedule import RELATIVE_TOLERANCE


@dataclass(frozen=True)
class Stretch:
    """The part of a schedule that one sampling goes through, and on which model.

    kind: what tells architectures apart. expert: ``high`` or ``low`` where that is certain, else
    None. weights: equal for two samplings on the same loaded model, patched or not. frame: height
    and width. before: steps that earlier samplings made of what this one goes on with.
    """

    kind: Hashable
    expert: str | None
    weights: Hashable
    frame: Hashable
    first_sigma: float
    last_sigma: float
    steps: int
    before: int = 0

    @property
    def falls(self) -> bool:
        """True when noise is taken away, which is not so in an inversion."""
        return self.first_sigma > self.last_sigma


def same_expert(one: Stretch, other: Stretch) -> bool:
    """Whether two samplings are of one expert.

    Where both are known to be an expert that says it, whatever was loaded twice for them;
    otherwise they are one if they have the same weights, with or without a LoRA.
    """
    if one.expert and other.expert:
        return (one.kind, one.expert) == (other.kind, other.expert)
    return one.weights == other.weights


def follows(later: Stretch, earlier: Stretch) -> bool:
    """Whether ``later`` starts at the noise level where ``earlier`` stopped, on whatever expert.

    A second pass starts elsewhere, or at frames of another size.
    """
    gap = abs(later.first_sigma - earlier.last_sigma)
    return (
        later.falls
        and earlier.falls
        and gap <= RELATIVE_TOLERANCE * later.first_sigma
        and later.frame == earlier.frame
    )


def continues(later: Stretch, earlier: Stretch) -> bool:
    """Whether ``later`` goes on with the same expert; if not, it has a warm-up of its own."""
    return follows(later, earlier) and same_expert(later, earlier)


def steps_before(later: Stretch, finished: Sequence[Stretch]) -> int:
    """The steps that samplings, in order of time, made of what ``later`` goes on with; else 0."""
    gone_on = (s.before + s.steps for s in reversed(finished) if continues(later, s))
    return next(gone_on, 0)


def whole_schedules(stretches: Sequence[Stretch]) -> list[list[int]]:
    """Samplings, in order of time, as schedules: places of the parts of each, in order of sigma.

    A schedule ends with a sampling that nothing goes on with. What several go on with (the first
    expert ran once, the second was asked again) is part of each of their schedules.
    """
    before: list[int | None] = []
    for place, later in enumerate(stretches):
        found = [i for i in range(place) if follows(later, stretches[i])]
        free = [i for i in found if i not in before]
        before.append(next(reversed(free or found), None))
    return [_way_to(end, before) for end in range(len(stretches)) if end not in before]


def _way_to(end: int, before: Sequence[int | None]) -> list[int]:
    way, place = [end], before[end]
    while place is not None:
        way.insert(0, place)
        place = before[place]
    return way


def count_experts(stretches: Sequence[Stretch]) -> int:
    """How many experts they are of."""
    distinct: list[Stretch] = []
    for stretch in stretches:
        if not any(same_expert(stretch, known) for known in distinct):
            distinct.append(stretch)
    return len(distinct)
