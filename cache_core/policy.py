"""The interfaces of a method's decision rule.

A policy is a frozen dataclass of the method's numbers. Its methods are pure functions of
(numbers, state, observation): what it learns goes into a new state, never into itself, so that one
policy serves any number of runs, branches and threads.

Every policy judges a distance. Static ones (``Static``) know the distances of all steps before the
first; dynamic ones (``Dynamic``) measure theirs on what the model computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from .decision import Reason
from .timetable import Outlook, Timetable


@dataclass(frozen=True)
class Verdict:
    """A policy's answer: reuse or not, the metric it rests on, and why it is no if it is no."""

    reuse: bool
    metric: float
    reason: Reason = Reason.ABOVE_THRESHOLD


class Policy(Protocol):
    """A rule that turns distances into verdicts."""

    @property
    def name(self) -> str:
        """The method's name as users know it."""

    def describe(self) -> str:
        """The numbers in force, in one short phrase for logs and reports."""

    def start(self) -> Any:
        """The state before anything was observed."""

    def judge(self, state: Any, distance: float) -> tuple[Verdict, Any]:
        """The verdict on a finite distance, and the state after it."""

    def computed(self, state: Any, features: Tensor | None) -> Any:
        """The state after an evaluation was computed; ``features`` if this policy measured it."""


@runtime_checkable
class Static(Policy, Protocol):
    """A policy whose distances follow from the schedule alone."""

    def timetable(self, outlook: Outlook) -> Timetable:
        """The distances of every step; StepCacheError if they cannot be known."""


@runtime_checkable
class Dynamic(Policy, Protocol):
    """A policy that looks at block 0 of the model to decide whether the rest may be skipped."""

    def features(self, before: Tensor, after: Tensor) -> Tensor:
        """What is compared: from block 0's input and output, each [rows, tokens, dim]."""

    def distance(self, state: Any, features: Tensor) -> Tensor | None:
        """Device scalar (fp32): change since the last computed evaluation; None when unknown."""
