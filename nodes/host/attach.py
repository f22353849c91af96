"""Putting the cache on a model, without touching the model."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from comfy.patcher_extension import WrappersMP

from ...cache_core import CacheConfig, Identity, Options
from ...cache_core.chain import clashes
from ...cache_core.config import Choice
from . import compiled, guidance, memory, wrappers
from .identity import identify
from .keys import KEY, calibrating, config_of

log = logging.getLogger(__name__)
CALIBRATED = (
    "MagCache Calibrate and an Apply node on one model: calibrating computes every step, so that "
    "nothing is reused. Remove one."
)
PHASES = {
    WrappersMP.OUTER_SAMPLE: wrappers.outer_sample,
    WrappersMP.PREPARE_SAMPLING: memory.prepare_sampling,
    WrappersMP.PREDICT_NOISE: wrappers.predict_noise,
    WrappersMP.CALC_COND_BATCH: guidance.calc_cond_batch,
    WrappersMP.APPLY_MODEL: compiled.apply_model,
    WrappersMP.DIFFUSION_MODEL: wrappers.diffusion_model,
}


def recognise(model: Any, slot: str = "model") -> Identity:
    """Which Wan ``model`` (a ModelPatcher) is; StepCacheError names the input if it is none."""
    return identify(model, slot)


def attach(model: Any, identity: Identity, method: Choice, options: Options | None) -> Any:
    """A clone of ``model`` with ``method`` added to its cache.

    StepCacheError if the method cannot work on this model. The identity of the last node counts:
    it may have been told more.
    """
    method.resolve(identity)
    before = config_of(model.model_options)
    known = before.methods if before else ()
    old_options = before.options if before else Options()
    warn([*clashes(known, method), *differing(old_options, options)])
    if calibrating(model.model_options):
        warn([CALIBRATED])
    config = CacheConfig(identity, known, old_options).with_method(method, options)
    return patched(model, KEY, config, PHASES)


def differing(before: Options, added: Options | None) -> list[str]:
    """What to say when a node of a chain brings other options than one before it."""
    if added is None or Options() == before or added == before:
        return []
    return [
        "two nodes of a chain have different Step Cache Options; the last ones hold for all. "
        "Connect the same Step Cache Options to both, or to the last node alone."
    ]


def warn(messages: Iterable[str]) -> None:
    """Tell what is wrong with a workflow, once when it is built."""
    for message in messages:
        log.warning("Wan Step Cache: %s", message)


def patched(model: Any, key: str, config: Any, phases: dict[str, Any]) -> Any:
    """A clone of ``model`` with a frozen configuration and wrappers, both under ``key``."""
    clone = model.clone()
    clone.model_options.setdefault("transformer_options", {})[key] = config
    for phase, wrapper in phases.items():
        clone.remove_wrappers_with_key(phase, key)
        clone.add_wrapper_with_key(phase, key, wrapper)
    return clone
