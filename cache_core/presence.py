"""Who takes part in the evaluations of a run, and what becomes of those who stay away.

Context windows may move from step to step, a pass of guidance may end. What such a group keeps is
older than its policies and guards have counted, so it is dropped, and the group starts anew.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from .branches import Chunk
from .schedule import Position

if TYPE_CHECKING:
    from .run import Run

MOVING = (
    "context windows move from step to step: a value serves its own window, so those that have "
    "moved are computed; with context_schedule standard_static they stay, and are reused"
)
ANEW = (
    "another node makes its patches anew for every evaluation: what it runs with them is computed "
    "each time"
)
OFTEN = 4
"""Evaluations with patches that were not there before, until the run is told of them."""


class Company:
    """Context windows of the evaluation under way and of the last one; patches seen so far."""

    def __init__(self) -> None:
        self.evaluation = 0
        self.windows: set[Hashable] = set()
        self.before: set[Hashable] = set()
        self.families: set[Hashable] = set()
        self.newcomers: set[int] = set()

    def complaint(self, chunk: Chunk, evaluation: int) -> str | None:
        """What costs this chunk its reuse, None for one that was there before."""
        if evaluation != self.evaluation:
            self.evaluation, self.windows, self.before = evaluation, set(), self.windows
        self.windows.add(chunk.window)
        new, told = chunk.family not in self.families, len(self.newcomers) > OFTEN
        if new and not told:
            self.families.add(chunk.family)
        if chunk.window is not None and self.before and chunk.window not in self.before:
            return MOVING
        if new and not told:
            self.newcomers.add(evaluation)
        return ANEW if len(self.newcomers) > OFTEN else None


def join(run: Run, chunk: Chunk, position: Position) -> None:
    """A chunk was computed or reused."""
    group = run.groups.get(chunk.group)
    if group is not None:
        group.took_part(chunk, position)
    complaint = run.company.complaint(chunk, position.evaluation)
    if complaint:
        run.trace.warn(complaint)


def drop_stale(run: Run, position: Position) -> None:
    """An evaluation is there: drop the values of groups that were away until now."""
    for group in run.groups.values():
        if group.was_away(position):
            run.store.drop(group.keys)
            run.alarm.drop(group.keys)
            group.forget()
    if run.guidance:
        run.guidance.drop_stale(position)


def leave(run: Run, position: Position | None) -> None:
    """An evaluation is over: the groups that were away in it, too, are gone."""
    if position is not None:
        for key in [key for key, group in run.groups.items() if group.was_away(position)]:
            del run.groups[key]
