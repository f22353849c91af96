"""The words that widgets, options and traces share."""

from __future__ import annotations

from typing import Literal

CfgMode = Literal["cond", "separate"]
CacheLevel = Literal["auto", "hidden", "output"]
PresetName = Literal["quality", "balanced", "fast", "custom"]
Metric = Literal["residual_rel_l1", "hidden_rel_l1", "hidden_rel_l2"]
