"""ComfyUI's own workflows of one model, with one node of the pack before the sampler."""

from __future__ import annotations

from collections.abc import Sequence

from . import parts
from .graph import Frame, ModelFile, Node, Workflow

SHIFT = "shift"


def workflow(
    title: str,
    note: str,
    files: Sequence[ModelFile],
    node: Node,
    prompt: Frame,
    sample: Frame,
    *loaders: Node,
) -> Workflow:
    """The pack's `node` takes its model from SHIFT, and the sampler takes the node's.

    files: the diffusion model, the text encoder and the VAE. loaders: what loads anything else.
    """
    model = parts.diffusion("model", files[0])
    cache = parts.step_cache(node, parts.shift(SHIFT, "model", 8))
    models = parts.models([model], *files[1:3], *loaders)
    return Workflow(title, note, ((models,), (cache, prompt), (sample,)))
