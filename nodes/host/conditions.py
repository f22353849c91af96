"""What a condition's output depends on besides the rows: weights that hooks change, its control."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from numpy import float32

from ...cache_core import Run
from ...cache_core.branches import Chunk, Evaluation

Condition = dict[str, Any]
"""One condition as the host's samplers have it."""


def note(run: Run, conds: Sequence[Sequence[Condition] | None]) -> None:
    """The host is about to run these conditions, a list for each branch."""
    if run.evaluation is not None:
        run.evaluation.conds = conds


def bound(
    run: Run, evaluation: Evaluation, chunks: Sequence[Chunk], uuids: Sequence[Hashable]
) -> list[Chunk]:
    """The chunks of a model call, bound to their conditions as they are now.

    A pass over some branches is another than one over all. The state of a condition is part of
    the signature: what was kept in another state is dropped. By now the host has set the hooks.
    """
    conds = evaluation.conds
    states = [
        state_of(run, evaluation, condition_of(conds, chunk.branch, uuid))
        for chunk, uuid in zip(chunks, uuids, strict=True)
    ]
    return [
        replace(chunk, key=(chunk.key, len(conds)), signature=(*chunk.signature, state))
        for chunk, state in zip(chunks, states, strict=True)
    ]


def condition_of(
    conds: Sequence[Sequence[Condition] | None], branch: int, uuid: Hashable
) -> Condition:
    """The condition with this uuid, empty where another node made the call."""
    conditions = (conds[branch] if branch < len(conds) else None) or ()
    return next((condition for condition in conditions if condition["uuid"] == uuid), {})


def state_of(run: Run, evaluation: Evaluation, condition: Condition) -> Hashable:
    """What must not change between recording and reuse of a condition's rows, as it is now."""
    control = condition.get("control")
    sigma = run.position(evaluation).sigma if control is not None else 0.0
    return strengths(condition), control_at(sigma, control)


def strengths(condition: Condition) -> Hashable:
    """How strongly each hook acts now."""
    return tuple((hook.hook_ref, float(hook.strength)) for hook in hooks_of(condition))


def hooks_of(condition: Condition) -> Sequence[Any]:
    """The hooks of a condition; the host leaves None where it has taken them away."""
    group = condition.get("hooks")
    return group.hooks if group is not None else ()


def scheduled(conditions: Sequence[Condition]) -> bool:
    """True when hooks change weights during a sampling."""
    hooks = (hook for condition in conditions for hook in hooks_of(condition))
    return any(len(hook.hook_keyframe.keyframes) > 1 for hook in hooks)


def in_force_at(sigma: float, conditions: Sequence[Condition]) -> tuple[Hashable, ...]:
    """Which of a branch's conditions the host runs at a noise level, and with which control."""
    return tuple(
        (condition["uuid"], control_at(sigma, condition.get("control")))
        for condition in conditions
        if within(sigma, condition.get("timestep_start", inf), condition.get("timestep_end", 0.0))
    )


def control_at(sigma: float, control: Any) -> Hashable:
    """Which members of a chain of control models act at a noise level."""
    return tuple(within(sigma, *(link.timestep_range or (inf, 0.0))) for link in _chain(control))


def within(sigma: float, start: float, end: float) -> bool:
    """True between two noise levels, both included, in the precision that the host compares in."""
    return bool(float32(end) <= float32(sigma) <= float32(start))


def _chain(control: Any) -> Iterator[Any]:
    while control is not None:
        yield control
        control = control.previous_controlnet
