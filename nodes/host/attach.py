"""Putting the cache on a model, without touching the model."""

from __future__ import annotations

import logging
from typing import Any

from comfy.patcher_extension import WrappersMP

from ...cache_core import CacheConfig, Identity, Options
from ...cache_core.config import Choice
from . import guidance, memory, wrappers
from .identity import identify
from .keys import KEY, config_of

log = logging.getLogger(__name__)
PHASES = {
    WrappersMP.OUTER_SAMPLE: wrappers.outer_sample,
    WrappersMP.PREPARE_SAMPLING: memory.prepare_sampling,
    WrappersMP.PREDICT_NOISE: wrappers.predict_noise,
    WrappersMP.CALC_COND_BATCH: guidance.calc_cond_batch,
    WrappersMP.DIFFUSION_MODEL: wrappers.diffusion_model,
}


def recognise(model: Any) -> Identity:
    """Which Wan ``model`` (a ModelPatcher) is; StepCacheError if it is none."""
    return identify(model)


def attach(model: Any, identity: Identity, method: Choice, options: Options | None) -> Any:
    """A clone of ``model`` with ``method`` added to its cache.

    StepCacheError if the method cannot work on this model. The identity of the last node counts:
    it may have been told more.
    """
    method.resolve(identity)
    before = config_of(model.model_options)
    if before and any(known.name == method.name for known in before.methods):
        log.warning(
            "Wan Step Cache: %s is applied twice; the later node replaces the earlier one.",
            method.name,
        )
    known = before.methods if before else ()
    old_options = before.options if before else Options()
    config = CacheConfig(identity, known, old_options).with_method(method, options)
    return patched(model, KEY, config, PHASES)


def patched(model: Any, key: str, config: Any, phases: dict[str, Any]) -> Any:
    """A clone of ``model`` with a frozen configuration and wrappers, both under ``key``."""
    clone = model.clone()
    clone.model_options.setdefault("transformer_options", {})[key] = config
    for phase, wrapper in phases.items():
        clone.remove_wrappers_with_key(phase, key)
        clone.add_wrapper_with_key(phase, key, wrapper)
    return clone
