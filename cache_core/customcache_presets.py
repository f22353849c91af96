"""CustomCache's numbers: TeaCache decides, a Taylor series forecasts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast, get_args

from .config import GuardDefaults, Method
from .errors import require_one_of
from .forecast import Forecast
from .identity import Identity
from .teacache import TeaCache
from .teacache_presets import TeaCacheChoice
from .vocabulary import PresetName, TimeAxis

PUBLISHED = 0.26
"""LightX2V's threshold on every model, without published quality: fast at best."""

SOURCE = "TeaCache's thresholds; fast is LightX2V's, whose quality nobody published"
GUARDS = GuardDefaults(0.2, 1, None)
"""LightX2V computes the first and the last step only; custom does as it does."""


@dataclass(frozen=True)
class CustomCacheChoice:
    """What the user of Apply CustomCache chose."""

    preset: PresetName
    threshold: float
    max_order: int = 1
    time_axis: TimeAxis = "logsnr"
    node_id: str | None = None
    name: str = "CustomCache"

    def __post_init__(self) -> None:
        require_one_of("preset", self.preset, get_args(PresetName))
        require_one_of("time_axis", self.time_axis, get_args(TimeAxis))

    def resolve(self, identity: Identity, steps: int | None = None) -> Method:
        """TeaCache's method for this model, without retention steps, under another name."""
        tea = TeaCacheChoice(self.preset, self.threshold, use_ret_steps=False, node_id=self.node_id)
        method = tea.resolve(identity)
        policy = replace(cast(TeaCache, method.policy), name=self.name)
        guards, source = method.guards, method.source
        if self.preset != "custom":
            guards, source = GUARDS, SOURCE
        if self.preset == "fast":
            policy = replace(policy, threshold=max(policy.threshold, PUBLISHED))
        forecast = Forecast(self.max_order, self.time_axis)
        return replace(method, policy=policy, guards=guards, source=source, forecast=forecast)
