"""Measuring a model once, for Apply MagCache and Apply TeaCache."""

from __future__ import annotations

from .. import one_model, parts, wan21
from ..graph import Out

TEXT = "a red kite flies over a green valley, clouds drift behind it, steady camera, daylight"

NOTE = f"""# MagCache calibration

Run this once with the model, the size and the number of steps that you render with: every step is
computed and measured. When the sampler ends, a file with the `name` of **MagCache Calibrate**
appears under `models/step_cache`. Then choose it as `calibration` in Apply MagCache, or as
`coefficients` in Apply TeaCache.

{parts.downloads(*wan21.TEXT_TO_VIDEO)}

## Expect

A normal render that reuses nothing. For your own fine-tune or LoRA, put its loader before
ModelSamplingSD3; for Wan 2.2, connect the other expert to `low_noise_model`.
"""

CALIBRATE = parts.ours("calibrate", "WanStepCache_MagCacheCalibrate", model=Out(one_model.SHIFT))
WORKFLOW = wan21.text_to_video("MagCache calibration", NOTE, TEXT, CALIBRATE)
