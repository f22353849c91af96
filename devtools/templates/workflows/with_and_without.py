"""The same seed without and with the cache, measured and looked at."""

from __future__ import annotations

from .. import files, one_model, parts, wan21
from ..graph import CONTROL, Column, Frame, Node, Out, Workflow

TEXT = (
    "a red fox trots through fresh snow between birches, low winter sun, breath in the air, "
    "tracking camera"
)

NOTE = f"""# With and without the cache

One prompt and one seed, sampled twice: as ComfyUI does it, and with **Apply EasyCache**. For
another method, put its Apply node in the place of this one; a LoRA goes before ModelSamplingSD3, so
that both samplers have it.

{parts.downloads(*wan21.TEXT_TO_VIDEO)}

## Look at

- **Step Cache Report**: what happened at every step, why, and what it saved. It hands the latent on
  unchanged.
- **Step Cache Compare**: PSNR and SSIM say how alike the frames are, the temporal-difference error
  how alike the motion is. The heat map shows where they differ.
- **Save Video**: both side by side, without the cache on the left. A difference that can be
  measured need not be a worse video: judge with your eyes, in motion.

Run it with `quality`, `balanced` and `fast` and the same seed: the render without the cache is kept
by ComfyUI and not made again.
"""

SEED, WITHOUT, WITH = Out("seed"), "without", "with"
WIDE = 620
REPORT_ROOM, COMPARE_ROOM = 460, 690
"""For the pictures that the nodes show."""

APPLY = parts.ours("cache", "WanStepCache_EasyCache", model=Out(one_model.SHIFT), preset="balanced")
REPORT = parts.ours(
    "report", "WanStepCache_Report", REPORT_ROOM, latent=Out(WITH), model=Out("cache")
)
COMPARE = parts.ours(
    "compare",
    "WanStepCache_Compare",
    COMPARE_ROOM,
    reference=Out(f"decode_{WITHOUT}"),
    candidate=Out(f"decode_{WITH}"),
)


def _sampler(name: str, model: str) -> Node:
    settings = {"seed": SEED, CONTROL: "fixed", "steps": wan21.STEPS, "cfg": wan21.CFG}
    return parts.uni_pc(Out(model), name, f"KSampler ({name} the cache)", **settings)


def _decode(name: str, latent: str) -> Node:
    return Node(f"decode_{name}", "VAEDecode", {"samples": Out(latent), "vae": Out("vae")})


def _prompt() -> Frame:
    known = {"value": wan21.SEED, CONTROL: "fixed"}
    seed = Node("seed", "PrimitiveInt", known, "Seed of both samplers")
    return parts.prompt(TEXT, [parts.latent(832, 480, 33), seed])


def _sample() -> Frame:
    samplers = _sampler(WITHOUT, one_model.SHIFT), _sampler(WITH, "cache")
    shown = _decode(WITHOUT, WITHOUT), REPORT, _decode(WITH, "report")
    return Frame("Sample twice", (Column(320, samplers), Column(WIDE, shown)))


def _compare() -> Frame:
    heat = Node("heat", "PreviewImage", {"images": Out("compare", 1)}, "Heat Map", height=300)
    video = parts.save(Out("compare"), "video/with_and_without")
    return Frame("Compare", (Column(WIDE, (COMPARE,)), Column(420, (*video, heat))))


def _workflow() -> Workflow:
    model = parts.diffusion("model", files.T2V_1_3B)
    models = parts.models([model], *wan21.TEXT_TO_VIDEO[1:])
    cache = parts.step_cache(APPLY, parts.shift(one_model.SHIFT, "model", 8))
    blocks = ((models,), (cache, _prompt()), (_sample(),), (_compare(),))
    return Workflow("With and without cache - Compare", NOTE, blocks)


WORKFLOW = _workflow()
