"""The interface of a method's decision rule.

A policy is a frozen dataclass of the method's numbers. Its methods are pure functions of
(numbers, state, observation): what it learns goes into a new state, never into itself, so that one
policy serves any number of runs, branches and threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Verdict:
    """A policy's answer: reuse or not, and the metric (after smoothing) it rests on."""

    reuse: bool
    metric: float


class Policy(Protocol):
    """A rule that looks at block 0 of the model to decide whether the rest may be skipped."""

    @property
    def name(self) -> str:
        """The method's name as users know it."""

    def describe(self) -> str:
        """The numbers in force, in one short phrase for logs and reports."""

    def start(self) -> Any:
        """The state before anything was observed."""

    def features(self, before: Tensor, after: Tensor) -> Tensor:
        """What is compared: from block 0's input and output, each [rows, tokens, dim]."""

    def distance(self, state: Any, features: Tensor) -> Tensor | None:
        """Device scalar (fp32): change since the last computed evaluation; None when unknown."""

    def judge(self, state: Any, distance: float) -> tuple[Verdict, Any]:
        """The verdict on a finite distance, and the state after it."""

    def computed(self, state: Any, features: Tensor) -> Any:
        """The state after the evaluation that had these features was computed."""
