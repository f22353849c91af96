"""The words that widgets, options and traces share."""

from __future__ import annotations

from typing import Literal

TimeAxis = Literal["step", "sigma", "logsnr"]
ForecastForm = Literal["newton", "series", "hermite"]
Anchor = Literal["velocity", "denoised", "input"]
"""What is forecast at output level: the velocity v of the latent z, z - sigma v, or v - z."""

ForecastName = Literal["auto", "hold", "taylor"]
Correction = Literal["auto", "on", "off"]
CfgMode = Literal["cond", "separate", "all"]
CacheLevel = Literal["auto", "hidden", "output"]
CacheDevice = Literal["auto", "gpu", "cpu"]
CacheDtype = Literal["auto", "model", "bf16", "fp16", "fp8"]
OnFewSteps = Literal["off", "warn", "allow"]
PresetName = Literal["quality", "balanced", "fast", "custom"]
TunedPreset = Literal["quality", "balanced", "fast"]
Metric = Literal["residual_rel_l1", "hidden_rel_l1", "hidden_rel_l2"]
Size = Literal["1.3B", "5B", "14B", "other"]
"""Parameters of the model, ``other`` for dimensions nobody published."""

Signal = Literal["e", "e0"]
"""The time embedding of a Wan, and its projection that modulates the blocks."""
