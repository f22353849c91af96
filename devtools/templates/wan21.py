"""ComfyUI's own text to video workflow of Wan 2.1, with one node of the pack in it."""

from __future__ import annotations

from . import files, parts
from .graph import Node, Out, Workflow

DOWNLOADS = parts.downloads(files.T2V_1_3B, files.TEXT_ENCODER, files.VAE_21)
SHIFT = "shift"


def text_to_video(title: str, note: str, text: str, node: Node) -> Workflow:
    """The pack's `node` takes its model from SHIFT, and the sampler takes the node's."""
    model = parts.diffusion("model", files.T2V_1_3B)
    return Workflow(
        title,
        note,
        (
            (parts.models([model], files.TEXT_ENCODER, files.VAE_21),),
            (
                parts.step_cache(node, parts.shift(SHIFT, "model", 8)),
                parts.prompt(text, width=832, height=480, length=33),
            ),
            (parts.sample(_sampler(node.name), prefix="video/wan21"),),
        ),
    )


def _sampler(model: str) -> Node:
    return parts.sampler(
        "sampler",
        "KSampler",
        Out(model),
        seed=82628696717253,
        steps=30,
        cfg=6,
        sampler_name="uni_pc",
        scheduler="simple",
        denoise=1,
    )
