"""Wan 2.2 TI2V 5B, with Apply TaylorSeer."""

from __future__ import annotations

from .. import one_model, parts, wan22
from ..graph import Out

TEXT = (
    "a street musician plays the guitar in an old subway station, passers-by blur behind him, dim "
    "warm lamps, film grain, handheld camera"
)

NOTE = f"""# Wan 2.2 TI2V 5B, with TaylorSeer

ComfyUI's own workflow of the 5B model, and one node more: **Apply TaylorSeer** between
ModelSamplingSD3 and KSampler. After the first steps it computes one step in a few and extrapolates
those between, so that the time of a render is known beforehand, whatever the video shows.

{parts.downloads(*wan22.TI2V_5B)}

To start from a picture, connect a Load Image node to `start_image` of Wan22ImageToVideoLatent.

## Look at

The text on Apply TaylorSeer after the run: the interval in force, and what it saved. `quality`
computes one step in 2, `balanced` one in 3, `fast` one in 4.
"""

APPLY = parts.ours(
    "cache", "WanStepCache_TaylorSeer", model=Out(one_model.SHIFT), preset="balanced"
)
WORKFLOW = wan22.ti2v_5b("Wan 2.2 TI2V 5B - TaylorSeer", NOTE, TEXT, APPLY)
