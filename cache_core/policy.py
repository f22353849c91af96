"""The interface of a method's decision rule.

A policy is a frozen dataclass of the method's numbers. Its methods are pure functions of
(numbers, state, observation): what it learns goes into a new state, never into itself, so that one
policy serves any number of runs, branches and threads.

Every policy judges a distance; policies differ in where that comes from (``looks_at``):

- ``schedule``: known for all steps before the first (``Static``);
- ``block``: measured on what block 0 makes of the tokens, before the others run;
- ``latent``: measured on the model's input, before the model runs;
- ``past``: measured on a block in the middle, whenever an evaluation was computed.

A rule that looks at ``guidance`` is no policy of steps: it decides which branches run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor

from .decision import Reason
from .memory import Remembers
from .timetable import Outlook, Timetable

Look = Literal["schedule", "block", "latent", "past", "guidance"]


@dataclass(frozen=True)
class Verdict:
    """A policy's answer: reuse or not, the metric it rests on, and why it is no if it is no."""

    reuse: bool
    metric: float
    reason: Reason = Reason.ABOVE_THRESHOLD


@dataclass(frozen=True)
class Seen:
    """What an evaluation showed of the rows that decide; None where nobody looked.

    latent: the model's input [rows, channels, frames, height, width], output: its velocity, alike.
    features: what the policy takes of its block.
    """

    latent: Tensor | None = None
    output: Tensor | None = None
    features: Tensor | None = None


class Rule(Protocol):
    """The numbers of a method."""

    @property
    def name(self) -> str:
        """The method's name as users know it."""

    @property
    def looks_at(self) -> Look:
        """What it decides by."""

    def describe(self) -> str:
        """The numbers in force, in one short phrase for logs and reports."""


class Policy(Rule, Protocol):
    """A rule that turns distances into verdicts."""

    def start(self) -> Any:
        """The state before anything was observed."""

    def judge(self, state: Any, distance: float) -> tuple[Verdict, Any]:
        """The verdict on a finite distance, and the state after it."""

    def computed(self, state: Any, seen: Seen) -> Any:
        """The state after an evaluation was computed."""


class Static(Policy, Protocol):
    """A policy whose distances follow from the schedule alone."""

    def timetable(self, outlook: Outlook) -> Timetable:
        """The distances of every step; StepCacheError if they cannot be known."""


class Dynamic(Policy, Remembers, Protocol):
    """A policy that measures its distances while the sampler runs."""

    def distance(self, state: Any, seen: Seen) -> Tensor | float | None:
        """Change since the last computed evaluation; None when unknown.

        A scalar on the device (fp32), which is then read together with those of other policies.
        """

    def skipped(self, state: Any, seen: Seen) -> Any:
        """The state after an evaluation was reused."""


class Probing(Dynamic, Protocol):
    """A dynamic policy that looks at a block of the model."""

    def features(self, before: Tensor, after: Tensor) -> Tensor:
        """What is compared: from the block's input and output, each [rows, tokens, dim]."""


class Past(Probing, Protocol):
    """A policy that looks at a block when an evaluation is computed."""

    def block(self, layers: int) -> int:
        """Which block of the stack."""
