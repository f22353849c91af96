"""FBCache's numbers by model, metric and preset, and where each comes from.

Published on Wan is only the relative change of block 0's *output* (``hidden_rel_l1``), by
testdummyvt/diffsynth-wan-cache: 14B 0.04 to 0.07 (0.06 ran 1.85x and was judged good), 1.3B 0.03 to
0.04. For its residual there are general defaults (diffusers 0.05, cache-dit 0.08), which are taken
for 14B and halved for 1.3B, as smaller models need thresholds two to three times smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from .config import GuardDefaults, Method
from .errors import require_one_of
from .fbcache import FBCache
from .identity import Identity
from .vocabulary import Metric, PresetName, Size, TunedPreset

PUBLISHED = "published by diffsynth-wan-cache"
GENERAL = "general FBCache defaults of diffusers and cache-dit, untested on this model"
OURS = "ours, by analogy, untested on this model"
TINY = "ours, measured on the tiny test model only"

GUARDS: dict[TunedPreset, GuardDefaults] = {
    "quality": GuardDefaults(warmup_ratio=0.27, last_steps=2, max_consecutive_skips=2),
    "balanced": GuardDefaults(warmup_ratio=0.27, last_steps=1, max_consecutive_skips=3),
    "fast": GuardDefaults(warmup_ratio=0.2, last_steps=1, max_consecutive_skips=4),
}


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of the three presets and one line on their source."""

    quality: float
    balanced: float
    fast: float
    source: str


FBCACHE: dict[Metric, dict[Size, Thresholds]] = {
    "hidden_rel_l1": {
        "14B": Thresholds(0.04, 0.06, 0.07, PUBLISHED),
        "1.3B": Thresholds(0.03, 0.035, 0.04, PUBLISHED + " (balanced: between the two)"),
        "5B": Thresholds(0.03, 0.04, 0.05, OURS),
        "other": Thresholds(0.05, 0.08, 0.12, TINY),
    },
    "residual_rel_l1": {
        "14B": Thresholds(0.05, 0.08, 0.12, GENERAL),
        "1.3B": Thresholds(0.03, 0.04, 0.06, OURS),
        "5B": Thresholds(0.03, 0.04, 0.06, OURS),
        "other": Thresholds(0.05, 0.08, 0.12, TINY),
    },
    "hidden_rel_l2": {
        "14B": Thresholds(0.04, 0.06, 0.07, OURS),
        "1.3B": Thresholds(0.03, 0.035, 0.04, OURS),
        "5B": Thresholds(0.03, 0.04, 0.05, OURS),
        "other": Thresholds(0.05, 0.08, 0.12, TINY),
    },
}


def fbcache_threshold(size: Size, metric: Metric, preset: TunedPreset) -> tuple[float, str]:
    """The threshold of a preset for a model of this size, and its source."""
    row = FBCACHE[metric][size]
    return getattr(row, preset), row.source


@dataclass(frozen=True)
class FBCacheChoice:
    """What the user of Apply FBCache chose; the model makes numbers of it."""

    preset: PresetName
    threshold: float
    metric: Metric = "residual_rel_l1"
    downsample: int = 8
    ema: float = 0.0
    node_id: str | None = None
    name: str = "FBCache"

    def __post_init__(self) -> None:
        require_one_of("preset", self.preset, get_args(PresetName))
        require_one_of("metric", self.metric, get_args(Metric))

    def resolve(self, identity: Identity, steps: int | None = None) -> Method:
        """The policy and guards for this model."""
        threshold, source, guards = self.threshold, "set by hand", GuardDefaults()
        if self.preset != "custom":
            threshold, source = fbcache_threshold(identity.size, self.metric, self.preset)
            guards = GUARDS[self.preset]
        policy = FBCache(threshold, self.metric, self.downsample, self.ema)
        return Method(policy, guards, self.preset, source, self.node_id)
