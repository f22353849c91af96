"""What happened to a branch at an evaluation, in one letter."""

from __future__ import annotations

from collections.abc import Iterable

from .decision import FAILSAFES, Action, Reason

DECIDED = frozenset({Reason.ABOVE_THRESHOLD, Reason.INTERVAL, Reason.FIRST, Reason.LEARNING})
"""Reasons of a method itself to compute; with any other, something forbade a reuse."""

WORDS = {
    "R": "reused",
    "F": "forecast",
    "C": "computed",
    "M": "forced (must compute)",
    "X": "failsafe",
}
"""Every letter in words, in the order of ``most``: reused as it was; forecast from what was
computed; computed since the method said so, since a guard or mask did, since something was not as
expected."""


def letter_of(action: str, reason: str, mixed: int) -> str:
    """The letter of a record; ``mixed``: how many kept values a reused one was made of."""
    if action == Action.REUSE.value:
        return "F" if mixed > 1 else "R"
    if Reason(reason) in FAILSAFES:
        return "X"
    return "C" if Reason(reason) in DECIDED else "M"


def most(letters: Iterable[str]) -> str:
    """Which letter stands for several that share a place: the last of ``WORDS``."""
    return max(letters, key=list(WORDS).index)
