"""One row of the benchmark: a way to sample faster, with its knob at one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .stage import Stage

Patch = Callable[[Stage], Any]


@dataclass(frozen=True)
class Entry:
    """What is compared.

    family: `pack` or `baseline`. kind: `sweep` (the knob is set) or `preset` (as the node gives
    it). forecast: that of Step Cache Options, '' for a baseline. patch: the model to sample.
    steps: instead of the scenario's, for the baseline of fewer steps.
    """

    family: str
    method: str
    knob: str
    patch: Patch
    kind: str = "sweep"
    forecast: str = ""
    steps: int | None = None

    @property
    def label(self) -> str:
        """In one line."""
        return " ".join(word for word in (self.method, self.forecast, self.knob) if word)
