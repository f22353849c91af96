"""CFG Cache's numbers by preset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from .cfgcache import CFGCache
from .config import GuardDefaults, Method
from .errors import require_one_of
from .identity import Identity
from .vocabulary import PresetName

OURS = "ours, measured on the tiny test model only"
PRESETS = {"quality": (2, 0.3, 1.0), "balanced": (3, 0.3, 1.0), "fast": (5, 0.3, 1.0)}
"""Interval, start and end. Guidance of early steps sets the layout, so all start late."""
TUNED_AT = 5.0
"""The guidance scale of the presets' intervals."""


@dataclass(frozen=True)
class CFGCacheChoice:
    """What the user of Apply CFG Cache chose; see ``CFGCache``."""

    preset: PresetName
    interval: int
    start_percent: float
    end_percent: float
    low_frequency_weight: float = 1.0
    high_frequency_weight: float = 1.0
    node_id: str | None = None
    name: str = "CFG Cache"

    def __post_init__(self) -> None:
        require_one_of("preset", self.preset, get_args(PresetName))

    def resolve(self, identity: Identity, steps: int | None = None) -> Method:
        """The numbers, the same on every model; the last step always runs both branches."""
        numbers, source = (self.interval, self.start_percent, self.end_percent), "set by hand"
        tuned_at = None
        if self.preset != "custom":
            numbers, source, tuned_at = PRESETS[self.preset], OURS, TUNED_AT
        bands = (self.low_frequency_weight, self.high_frequency_weight)
        policy = CFGCache(*numbers, *bands, tuned_at)
        guards = GuardDefaults(0.0, 1, None, warmup_steps=1)
        return Method(policy, guards, self.preset, source, self.node_id)
