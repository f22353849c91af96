"""AdaCache's codebooks and presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from .adacache import AdaCache, parse_codebook, scaled
from .config import GuardDefaults, Method
from .errors import require, require_one_of
from .identity import Identity
from .vocabulary import PresetName

OFFICIAL = {
    "100 steps": ("0.03:12, 0.05:10, 0.07:8, 0.09:6, 0.11:4, 1:3", 100),
    "30 steps fast": ("0.08:6, 0.16:5, 0.24:4, 0.32:3, 0.40:2, 1:1", 30),
    "30 steps slow": ("0.08:3, 0.16:2, 0.24:1, 0.32:1, 0.40:1, 1:1", 30),
}
"""Codebooks of AdaCache-DiT/AdaCache for Open-Sora, and the step counts they were made for."""

PRESETS = {"quality": "30 steps slow", "balanced": "100 steps", "fast": "30 steps fast"}
GUARDS = GuardDefaults(0.2, 1, None)
"""The official script computes the first and the last two steps only; on Wan, where early steps
decide the layout, that costs more than it saves."""


@dataclass(frozen=True)
class AdaCacheChoice:
    """What the user of Apply AdaCache chose; codebook: text, with preset custom taken as it is."""

    preset: PresetName
    codebook: str
    probe_block: int = -1
    motion: bool = False
    node_id: str | None = None
    name: str = "AdaCache"

    def __post_init__(self) -> None:
        require_one_of("preset", self.preset, get_args(PresetName))

    def resolve(self, identity: Identity, steps: int | None = None) -> Method:
        """The policy and guards; official codebooks are scaled to the run's steps."""
        block, layers = self.probe_block, identity.layers
        require(block < layers, "probe_block", block, f"below {layers}, the blocks of this model")
        if self.preset == "custom":
            book, source = parse_codebook(self.codebook), "set by hand"
        else:
            name = PRESETS[self.preset]
            text, made_for = OFFICIAL[name]
            book = scaled(parse_codebook(text), made_for, steps or made_for)
            source = f"official codebook for {name}, scaled, untested on real weights"
        policy = AdaCache(book, block, self.motion)
        return Method(policy, GUARDS, self.preset, source, self.node_id)
