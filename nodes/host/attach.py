"""Putting the cache on a model, without touching the model."""

from __future__ import annotations

import logging
from typing import Any

from comfy.patcher_extension import WrappersMP

from ...cache_core import CacheConfig, Method, Options
from . import wrappers
from .identity import WanModel, identify
from .keys import KEY, config_of

log = logging.getLogger(__name__)
PHASES = {
    WrappersMP.OUTER_SAMPLE: wrappers.outer_sample,
    WrappersMP.PREDICT_NOISE: wrappers.predict_noise,
    WrappersMP.DIFFUSION_MODEL: wrappers.diffusion_model,
}


def recognise(model: Any) -> WanModel:
    """Which Wan ``model`` (a ModelPatcher) is; StepCacheError if it is none."""
    return identify(model)


def attach(model: Any, wan: WanModel, method: Method, options: Options | None) -> Any:
    """A clone of ``model`` with ``method`` added to its cache."""
    before = config_of(model.model_options)
    if before and any(known.policy.name == method.policy.name for known in before.methods):
        log.warning(
            "Wan Step Cache: %s is applied twice; the later node replaces the earlier one.",
            method.policy.name,
        )
    config = (before or CacheConfig(wan.label, ())).with_method(method, options)
    clone = model.clone()
    clone.model_options.setdefault("transformer_options", {})[KEY] = config
    for phase, wrapper in PHASES.items():
        clone.remove_wrappers_with_key(phase, KEY)
        clone.add_wrapper_with_key(phase, KEY, wrapper)
    return clone
