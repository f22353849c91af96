"""Wan 2.1 in one file, with Apply FBCache."""

from __future__ import annotations

from .. import one_model, parts, wan21
from ..graph import Out

TEXT = (
    "a steam train crosses a stone viaduct in autumn, smoke drifts over golden trees, wide shot, "
    "slow pan"
)

NOTE = f"""# Wan 2.1 text to video, with FBCache

ComfyUI's own Wan 2.1 workflow, and one node more: **Apply FBCache** between ModelSamplingSD3 and
KSampler. At every step it runs the first block of the model and looks how much that changed: where
it is little, the other blocks are left out and the result is forecast from earlier steps.

{parts.downloads(*wan21.TEXT_TO_VIDEO)}

## Look at

The text on Apply FBCache after the run, and the same line in the console: how many steps were
computed and reused, what that saved, and the measured change against the threshold. How many are
reused depends on the video. `quality` reuses less, `fast` more; for numbers of your own, choose
`custom`. To compare, set the seed to fixed and bypass the node (Ctrl+B).
"""

APPLY = parts.ours("cache", "WanStepCache_FBCache", model=Out(one_model.SHIFT), preset="balanced")
WORKFLOW = wan21.text_to_video("Wan 2.1 text to video - FBCache", NOTE, TEXT, APPLY)
