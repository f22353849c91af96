"""Where the pack lives in the host's dictionaries."""

from __future__ import annotations

from typing import Any

from ...cache_core import CacheConfig, Run

KEY = "wan_step_cache"
"""Wrappers, and the frozen configuration in a model's transformer options, are under this key."""

CALIBRATE_KEY = "wan_step_cache_calibrate"
"""Wrappers and the request of MagCache Calibrate are under this key."""

MEASURE_KEY = "wan_step_cache_measurement"
"""The measurement is under this key in the transformer options of one calibrated sampling."""

RUN_KEY = "wan_step_cache_run"
"""The run is under this key in the transformer options of one sampling, and nowhere else."""

RANKS_KEY = "wan_step_cache_ranks"
"""An engine for many GPUs puts the process group that samples together here, or ``off``.

In a model's transformer options; without it the default group of torch.distributed counts.
"""

RIVAL_KEY = "easycache"
"""The host's own EasyCache and LazyCache nodes put what they are and know here, likewise."""


def config_of(model_options: dict[str, Any]) -> CacheConfig | None:
    """The configuration a model carries, None if the pack was not applied to it."""
    return model_options.get("transformer_options", {}).get(KEY)


def run_of(transformer_options: dict[str, Any]) -> Run | None:
    """The run under way, None outside a sampling of the pack's."""
    return transformer_options.get(RUN_KEY)


def calibrating(model_options: dict[str, Any]) -> bool:
    """True when MagCache Calibrate wants to see every step computed."""
    return CALIBRATE_KEY in model_options.get("transformer_options", {})
