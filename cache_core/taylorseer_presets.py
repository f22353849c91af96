"""TaylorSeer's numbers by preset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from .config import GuardDefaults, Method
from .errors import require_one_of
from .forecast import Forecast
from .identity import Identity
from .interval import Interval
from .vocabulary import PresetName, TimeAxis

OURS = "ours, measured on the tiny test model only; published is interval 5, order 1"
PRESETS = {"quality": (2, 1, 0.2), "balanced": (3, 1, 0.2), "fast": (4, 1, 0.2)}
"""Interval, order and warm-up share. TaylorSeer's authors advise an interval of 2 or 3 for
quality; the published first_enhance of 1 lets reuse start at step 1, which costs the layout."""


@dataclass(frozen=True)
class TaylorSeerChoice:
    """What the user of Apply TaylorSeer chose.

    first_enhance: steps computed at the start. time_axis: what the series runs along.
    """

    preset: PresetName
    interval: int
    max_order: int
    first_enhance: int
    last_steps: int = 1
    time_axis: TimeAxis = "logsnr"
    node_id: str | None = None
    name: str = "TaylorSeer"

    def __post_init__(self) -> None:
        require_one_of("preset", self.preset, get_args(PresetName))
        require_one_of("time_axis", self.time_axis, get_args(TimeAxis))

    def resolve(self, identity: Identity, steps: int | None = None) -> Method:
        """The policy, guards and forecast; the same on every model."""
        if self.preset == "custom":
            interval, order, source = self.interval, self.max_order, "set by hand"
            guards = GuardDefaults(0.0, self.last_steps, None, self.first_enhance)
        else:
            interval, order, warmup = PRESETS[self.preset]
            guards, source = GuardDefaults(warmup, 1, None), OURS
        forecast = Forecast(order, self.time_axis, form="series")
        return Method(
            Interval(interval), guards, self.preset, source, self.node_id, forecast=forecast
        )
