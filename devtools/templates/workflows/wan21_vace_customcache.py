"""Wan 2.1 VACE with a reference picture and Apply CustomCache."""

from __future__ import annotations

from .. import one_model, parts, wan21
from ..graph import Out

TEXT = (
    "a girl with large fox ears in a pink dress walks through a sunny meadow, wind in the grass, "
    "tracking camera"
)
"""Of the picture that every ComfyUI has."""

NOTE = f"""# Wan 2.1 VACE, with CustomCache

ComfyUI's own VACE workflow with a reference picture, without the 4-step LoRA, and one node more:
**Apply CustomCache** between ModelSamplingSD3 and KSampler. As TeaCache it plans by the time
embedding; the steps that are left out are extrapolated. What VACE adds between the blocks is cached
with the rest.

{parts.downloads(*wan21.VACE)}

The 14B model goes the same way, and is recognised by itself. In **Load Image** choose a thing or a
person in front of a plain background. A control video or a mask goes into `control_video` and
`control_masks` of WanVaceToVideo.

## Look at

The text on Apply CustomCache after the run, and the video: nobody published a polynomial for VACE,
so that of the text to video model is used. Prefer `quality` for the last render.
"""

APPLY = parts.ours(
    "cache", "WanStepCache_CustomCache", model=Out(one_model.SHIFT), preset="balanced"
)
WORKFLOW = wan21.vace("Wan 2.1 VACE - CustomCache", NOTE, TEXT, APPLY)
