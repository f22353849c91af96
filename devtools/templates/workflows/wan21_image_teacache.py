"""Wan 2.1 from a picture, with Apply TeaCache."""

from __future__ import annotations

from .. import one_model, parts, wan21
from ..graph import Out

TEXT = (
    "a girl with large fox ears waves and turns around once, grass moves in the wind, blue sky, "
    "steady camera"
)
"""Of the picture that every ComfyUI has."""

NOTE = f"""# Wan 2.1 image to video, with TeaCache

ComfyUI's own Wan 2.1 image to video workflow, and one node more: **Apply TeaCache** between
ModelSamplingSD3 and KSampler. It recognises the 480p model by the name of its file and takes that
model's own polynomial, which tells from the time embedding how much the output changes from step to
step. The plan is known before the first step.

{parts.downloads(*wan21.IMAGE_TO_VIDEO)}

Choose a picture of your own in **Load Image**, and describe what shall happen in it.

## Look at

The text on Apply TeaCache after the run: it names the model that was recognised. If you renamed the
file, choose the model in `model_variant`. `quality` reuses less, `fast` more.
"""

APPLY = parts.ours("cache", "WanStepCache_TeaCache", model=Out(one_model.SHIFT), preset="balanced")
WORKFLOW = wan21.image_to_video("Wan 2.1 image to video - TeaCache", NOTE, TEXT, APPLY)
