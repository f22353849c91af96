"""EasyCache's thresholds by preset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from .config import GuardDefaults, Method
from .easycache import EasyCache
from .errors import require_one_of
from .identity import Identity
from .vocabulary import PresetName

PRESETS = {"quality": 0.04, "balanced": 0.05, "fast": 0.08}
SOURCE = "balanced published by EasyCache for Wan 2.1, the others ours"
GUARDS = GuardDefaults(0.2, 1, None)
"""As published: the first 10 of 50 steps and the last one are computed."""


@dataclass(frozen=True)
class EasyCacheChoice:
    """What the user of Apply EasyCache chose."""

    preset: PresetName
    threshold: float
    node_id: str | None = None
    name: str = "EasyCache"

    def __post_init__(self) -> None:
        require_one_of("preset", self.preset, get_args(PresetName))

    def resolve(self, identity: Identity, steps: int | None = None) -> Method:
        """The policy and guards; the same on every model."""
        tuned = self.preset != "custom"
        policy = EasyCache(PRESETS[self.preset] if tuned else self.threshold)
        source = SOURCE if tuned else "set by hand"
        return Method(policy, GUARDS, self.preset, source, self.node_id)
