"""Packs that `bench peers` knows: by the ids of their nodes, how each is put on a Wan model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Inputs = dict[str, Any]
TINY = 1e-6
"""A threshold that nothing is below, where a node takes 0 for: leave the model alone."""
VARIANT = "wan2.1_t2v_1.3B"
"""The published Wan that the tiny one is most like: no pack has numbers for the tiny one."""


@dataclass(frozen=True)
class Method:
    """A node and its settings; an input that is not named has the node's own default.

    fixed: inputs of all settings. settings: what is varied, the first as its authors ship or
    publish it. never: with these no step is reused, None if there are none such. often: with these
    steps of a model with random weights are reused too. before: ids of nodes between the model and
    this one. title: in tables, where the id does not tell enough.
    """

    node: str
    settings: tuple[Inputs, ...] = ({},)
    never: Inputs | None = None
    often: Inputs = field(default_factory=dict)
    fixed: Inputs = field(default_factory=dict)
    before: tuple[str, ...] = ()
    title: str = ""

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.title or self.node


def varied(name: str, *values: Any) -> tuple[Inputs, ...]:
    """Settings of one input."""
    return tuple({name: value} for value in values)


OVERRIDER = ("VideoForwardOverrider",)
PRESETS = varied("preset", "balanced", "quality", "fast")


def ours(method: str, never: Inputs, often: Inputs, **fixed: Any) -> Method:
    """A method of this pack by its presets."""
    custom = {"preset": "custom"}
    node = f"WanStepCache_{method}"
    return Method(node, PRESETS, {**custom, **never}, {**custom, **often}, fixed)


def limited(name: str, never: float, often: float) -> tuple[Inputs, Inputs]:
    """A threshold that nothing is below, and one that nearly all is below."""
    return {name: never}, {name: often}


OURS = (
    ours("EasyCache", *limited("reuse_threshold", 0.0, 3.0)),
    ours("FBCache", *limited("residual_diff_threshold", 0.0, 1.0)),
    ours("TeaCache", *limited("rel_l1_thresh", 0.0, 1.0)),
    ours("MagCache", *limited("magcache_thresh", 0.0, 0.3), calibration=VARIANT),
    ours("TaylorSeer", {"interval": 1}, {"interval": 2}),
    ours("AdaCache", {"codebook": "1000:1"}, {"codebook": "1000:2"}),
    ours("CustomCache", *limited("rel_l1_thresh", 0.0, 1.0)),
    ours("CFGCache", {"interval": 1}, {"interval": 3}),
)

EASY = limited("reuse_threshold", 0.0, 3.0)
HOST = (
    Method("EasyCache", varied("reuse_threshold", 0.2, 0.1, 0.04), *EASY),
    Method(
        "EasyCache",
        varied("reuse_threshold", 0.2, 0.1, 0.04),
        *EASY,
        before=("StepCacheBench_CopyInput",),
        title="EasyCache, input copied",
    ),
    Method("LazyCache", varied("reuse_threshold", 0.2, 0.4, 0.1), *EASY),
)

PEERS = (
    Method(
        "TeaCache",
        varied("rel_l1_thresh", 0.08, 0.15, 0.25),
        *limited("rel_l1_thresh", TINY, 10.0),
        {"model_type": VARIANT, "cache_device": "cpu"},
    ),
    Method(
        "MagCache",
        (
            {"magcache_thresh": 0.12, "retention_ratio": 0.2, "magcache_K": 4},
            {"magcache_thresh": 0.06, "retention_ratio": 0.2, "magcache_K": 2},
            {"magcache_thresh": 0.24, "retention_ratio": 0.2, "magcache_K": 6},
        ),
        *limited("magcache_thresh", TINY, 0.3),
        {"model_type": VARIANT},
    ),
    Method(
        "ApplyFBCacheOnModel",
        varied("residual_diff_threshold", 0.12, 0.07, 0.2),
        *limited("residual_diff_threshold", TINY, 1.0),
    ),
    Method(
        "ApplyTeaCachePatch",
        varied("rel_l1_thresh", 0.08, 0.05, 0.2),
        *limited("rel_l1_thresh", TINY, 5.0),
        {"wan_coefficients": "t2v_1.3B"},
        OVERRIDER,
    ),
    Method(
        "ApplyFirstBlockCachePatch",
        varied("residual_diff_threshold", 0.05, 0.1, 0.2),
        *limited("residual_diff_threshold", TINY, 1.0),
        before=OVERRIDER,
    ),
    Method(
        "TaylorSeerLite",
        varied("fresh_threshold", 6, 4, 3),
        {"first_enhance": 100},
        {"fresh_threshold": 3},
        {"model_type": "wanvideo"},
    ),
    Method(
        "SpectrumApplyWAN",
        ({}, {"window_size": 2.0, "flex_window": 0.0}, {"window_size": 3.0}),
        {"warmup_steps": 64},
        fixed={"backend": "wan21"},
    ),
    Method(
        "WanCacheOptimizer",
        ({}, {"warmup_steps": 8, "skip_interval": 2}, {"warmup_steps": 4, "skip_interval": 3}),
        {"warmup_steps": 20},
    ),
)
"""First settings: the README's for Wan 2.1 T2V 1.3B (TeaCache 0.08, MagCache E.12 K4, Patches_ll's
tooltips), WaveSpeed's 0.12 for Flux for want of one for Wan, else the node's defaults."""

KNOWN = {method.node: method for method in PEERS}
