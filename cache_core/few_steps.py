"""Samplings with so few steps that there is little to reuse and much to lose."""

from __future__ import annotations

from .identity import RunFacts

FEWEST = 10
"""Below so many steps published methods gain nothing or collapse (reference: Wan2GP, diffusers)."""

FEWEST_WITHOUT_GUIDANCE = 13
"""With CFG 1 the model is a distilled one, whose 4 to 12 steps differ more from each other."""


def too_few(facts: RunFacts) -> str | None:
    """Why a sampling has too few steps, in words; None when it has enough or nobody can tell.

    Steps are those of the whole schedule: half of a pair's schedule is not a short one.
    """
    if facts.steps is None:
        return None
    steps = round(facts.steps)
    if steps < FEWEST:
        return f"{steps} steps are fewer than {FEWEST}"
    if facts.cfg == 1 and steps < FEWEST_WITHOUT_GUIDANCE:
        return f"{steps} steps at CFG 1 are those of a distilled model"
    return None
