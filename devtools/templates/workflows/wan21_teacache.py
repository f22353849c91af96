"""Wan 2.1 in one file, with Apply TeaCache."""

from __future__ import annotations

from .. import one_model, parts, wan21
from ..graph import Out

TEXT = (
    "a fox moving quickly in a beautiful winter scenery nature trees mountains daytime "
    "tracking camera"
)

NOTE = f"""# Wan 2.1 text to video, with TeaCache

ComfyUI's own Wan 2.1 workflow, and one node more: **Apply TeaCache** between ModelSamplingSD3 and
KSampler. It estimates from the time embedding how much the model's output changes from step to
step, and reuses the last result while that is little.

{parts.downloads(*wan21.TEXT_TO_VIDEO)}

## Expect

After the run the node, and one line in the console, say which numbers were in force, how many steps
were computed and reused, and what that saved. `quality` reuses less, `fast` more. To compare, set
the seed to fixed and bypass the node (Ctrl+B).
"""

APPLY = parts.ours("cache", "WanStepCache_TeaCache", model=Out(one_model.SHIFT), preset="balanced")
WORKFLOW = wan21.text_to_video("Wan 2.1 text to video - TeaCache", NOTE, TEXT, APPLY)
