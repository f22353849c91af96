"""Both experts of Wan 2.2, with one Apply MagCache."""

from __future__ import annotations

from .. import parts, wan22
from ..graph import Out

TEXT = (
    "a small sailing boat passes a lighthouse at dawn, gentle waves, gulls circling above, "
    "warm low light, slow camera move, cinematic"
)

NOTE = f"""# Wan 2.2 with two experts, with MagCache

ComfyUI's own Wan 2.2 workflow without the 4-step LoRA, and one node more: **Apply MagCache** takes
the high-noise model at `model` and the low-noise model at `low_noise_model`. Both come out cached,
each with its own memory; nothing is reused across the switch. From magnitudes that were measured
once per model it estimates the error of reusing the last result, and reuses it while that error
stays small.

{parts.downloads(*wan22.TEXT_TO_VIDEO)}

## Expect

After each sampler the node, and one line in the console, say which numbers were in force, how many
steps were computed and reused, and what that saved. `quality` reuses less, `fast` more. Renders of
4 steps have little to reuse: with a 4-step LoRA, leave the node out.
"""

APPLY = parts.ours(
    "cache",
    "WanStepCache_MagCache",
    model=Out(wan22.HIGH),
    preset="balanced",
    low_noise_model=Out(wan22.LOW),
)
WORKFLOW = wan22.text_to_video("Wan 2.2 two experts - MagCache", NOTE, TEXT, APPLY)
