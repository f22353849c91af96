"""The tiny Wan, with Apply FBCache."""

from __future__ import annotations

from .. import one_model, parts, tiny
from ..graph import Out

NOTE = """# Tiny Wan, with FBCache

A Wan 2.1 of 3.4 M parameters that knows coloured shapes: 30 steps take a few seconds on any CPU.
The model, Tiny Wan Words and Tiny Wan Decode are there for tests; everything else is as with the
real ones.

Words it knows: red, green, blue, yellow, magenta, cyan, orange, white; disc, square, triangle,
ring, cross; left, right, up, down; slow, fast. At most one of each kind.

## Try

Press Run, and look at Apply FBCache: what happened at every step, and what it saved. Then choose
another preset and run again, with the same seed: `quality` computes more steps, `fast` fewer. With
the node bypassed (Ctrl+B) it is ComfyUI without the pack.
"""

APPLY = parts.ours("cache", "WanStepCache_FBCache", model=Out(one_model.SHIFT), preset="balanced")
WORKFLOW = tiny.text_to_video("Tiny Wan on any CPU - FBCache", NOTE, "red disc fast", APPLY)
