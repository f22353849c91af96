"""What one method says of one evaluation, and what a static one will say of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from .decision import FAILSAFES, Action, Decision, Reason, compute, reuse
from .guards import Guards
from .masks import REUSE
from .policy import Policy, Seen
from .schedule import Position

STANDS = FAILSAFES | {Reason.FIRST, Reason.OUTSIDE_WINDOW}
"""Reasons to compute that a step mask leaves in place."""

NEEDS = {"latent": 2}
"""Computed evaluations that a policy needs before it knows a distance, where it is not one."""


def unknown_because(policy: Policy, learnt: int) -> Reason:
    """Why a policy that ``learnt`` computed evaluations would know no distance."""
    if learnt < NEEDS.get(policy.looks_at, 1):
        return Reason.LEARNING
    return Reason.NO_SIGNAL if policy.looks_at == "schedule" else Reason.CHANGED


def vote(
    policy: Policy,
    state: Any,
    distance: float | None,
    forbidden: Reason | None,
    unknown: Reason,
) -> tuple[Decision, Any]:
    """A method's decision and its state after it.

    distance: None when it is not known, which means to compute for the reason ``unknown``.
    forbidden: the guards' reason to compute, which a policy still learns from.
    """
    if distance is None:
        return compute(forbidden or unknown), state
    if not isfinite(distance):
        return compute(Reason.NOT_FINITE), state
    verdict, after = policy.judge(state, distance)
    if forbidden or not verdict.reuse:
        return compute(forbidden or verdict.reason, verdict.metric), after
    return reuse(policy.name, verdict.metric), after


def masked(decision: Decision, letter: str, leader: str) -> Decision:
    """What a step mask makes of a decision; ``leader``: the method whose forecast is reused.

    Its letter 1 is among the guards, so that policies learn from it.
    """
    if letter != REUSE or decision.reason in STANDS:
        return decision
    return Decision(Action.REUSE, Reason.MASK, decision.metric, leader)


def foresee(
    policy: Policy,
    guards: Guards,
    sigmas: Sequence[float],
    distances: Sequence[float],
    expected: Sequence[Position] = (),
) -> str:
    """A static method's plan for a run of its own: C (computed) or R (reused) for every evaluation.

    expected: where they are; by default there is one at the start of every step.
    """
    state, plan = policy.start(), ""
    for at in expected or [Position(step, step, sigma) for step, sigma in enumerate(sigmas)]:
        skips = len(plan) - len(plan.rstrip("R"))
        forbidden = guards.forbids(at, len(sigmas), skips)
        distance = distances[at.step] if at.step else None
        decision, state = vote(policy, state, distance, forbidden, Reason.FIRST)
        decision = masked(decision, guards.letter(at.step), policy.name)
        plan += "R" if decision.reuses else "C"
        state = state if decision.reuses else policy.computed(state, Seen())
    return plan
