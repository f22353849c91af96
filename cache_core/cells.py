"""A run as a row of cells for each branch: what every step of the schedule was, in one letter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from .decision import Action
from .letters import letter_of, most
from .trace import Record

NOT_REACHED = "."


def cells(records: Iterable[Record], steps: int) -> dict[str, dict[str, Any]]:
    """By branch: ``row``, a letter of ``letters.py`` for every step, and ``why``, its reason.

    A step that is not reached yet has a dot, and None. Where windows or evaluations of one step
    differ, the letter is that of ``most``.
    """
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        empty = {"row": [NOT_REACHED] * steps, "why": [None] * steps}
        branch, step = found.setdefault(record.branch, empty), min(record.step, steps - 1)
        told = letter_of(record.action.value, record.reason.value, record.mixed)
        known = branch["row"][step]
        if known == NOT_REACHED or most((told, known)) == told:
            branch["row"][step], branch["why"][step] = told, record.reason.value
    return {
        name: {**branch, "row": "".join(branch["row"])} for name, branch in sorted(found.items())
    }


def metrics(records: Iterable[Record], steps: int, method: str) -> list[float | None]:
    """What was compared with the threshold of a method, the largest at every step.

    The metric of a computed branch may be that of any method of a chain.
    """
    found: list[float | None] = [None] * steps
    for record in records:
        if record.metric is None or not isfinite(record.metric):
            continue
        if record.method not in (None, method):
            continue
        step = min(record.step, steps - 1)
        known = found[step]
        found[step] = round(record.metric if known is None else max(known, record.metric), 6)
    return found


def remaining(records: Sequence[Record], steps: int, plan: str | None) -> float:
    """Seconds that model calls of the rest of the steps will take, by those of the steps so far.

    plan: C or R for every step, if it is known; else the rest goes on as it went so far.
    """
    by_step: dict[int, float] = {}
    reused: dict[int, bool] = {}
    for record in records:
        by_step[record.step] = by_step.get(record.step, 0.0) + record.seconds
        reused[record.step] = reused.get(record.step, True) and record.action is Action.REUSE
    kinds = {
        kind: [by_step[step] for step in by_step if reused[step] is kind] for kind in (False, True)
    }
    mean = {kind: sum(v) / len(v) if v else 0.0 for kind, v in kinds.items()}
    done = 1 + max(by_step, default=-1)
    if plan is not None:
        return sum(mean[letter == "R"] for letter in plan[done:])
    each = sum(by_step.values()) / len(by_step) if by_step else 0.0
    return each * (steps - done)
