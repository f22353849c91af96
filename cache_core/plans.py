"""What a run's static methods know before its first step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .branches import Group
from .policy import Static
from .schedule import Position
from .timetable import Outlook
from .unanimous import Unanimous
from .votes import foresee

if TYPE_CHECKING:
    from .run import Run

UNKNOWN = "planned for one evaluation a step; if this sampler makes more, each is decided by itself"


def plan(run: Run, which: int, policy: Static, outlook: Outlook) -> None:
    """Ask the method at this place for its distances, and note what it will do with them."""
    table = policy.timetable(outlook)
    if run.config.options.cfg_mode == "all" and len(table.rows) > 1:
        policy = run.policies[which] = Unanimous(policy, table)
        table = policy.timetable(outlook)
    run.timetables[which] = table
    expected = run.course.expected()
    letters = foresee(policy, run.guards[which], outlook.sigmas, table.rows[0], expected)
    run.trace.plans(which, letters, by_step(letters, expected, run.schedule.steps), table.notes)
    known = run.facts.counted or run.facts.stages
    if not known and UNKNOWN not in run.trace.notes:
        run.trace.note(UNKNOWN)


def by_step(letters: str, expected: Sequence[Position], steps: int) -> str:
    """A plan with a letter for every step: C where an evaluation of it is computed."""
    computed = {at.step for at, letter in zip(expected, letters, strict=True) if letter == "C"}
    return "".join("C" if step in computed else "R" for step in range(steps))


def distance(run: Run, group: Group, which: int, position: Position, branch: int) -> float | None:
    """A static method's distance; None before anything was computed, or without a timetable."""
    table = run.timetables.get(which)
    if table is None or group.computed_at is None or not position.step:
        return None
    return table.at(branch, position.step)
