"""From a model call of the host to chunks of rows with keys that tell them apart."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from torch import Tensor

from ...cache_core.branches import Chunk


def chunks_of(model: Any, x: Tensor, transformer_options: dict[str, Any]) -> list[Chunk] | None:
    """The conditions batched in ``x`` [rows, channels, frames, height, width], in order of rows.

    None when the host did not say what the rows are (a direct call outside its samplers). The
    uuid of a condition alone is not unique: regional prompts share it between branches, context
    windows between windows, skip-layer guidance between passes.
    """
    uuids = transformer_options.get("uuids")
    branches = transformer_options.get("cond_or_uncond")
    if not uuids or not branches or x.shape[0] % len(uuids):
        return None
    batch = x.shape[0] // len(uuids)
    group = (id(model), window_of(transformer_options), _patches(transformer_options))
    signature = ((batch, *x.shape[1:]), x.dtype, x.device)
    return [
        Chunk((group, uuid, branch), group, branch, slice(i * batch, (i + 1) * batch), signature)
        for i, (uuid, branch) in enumerate(zip(uuids, branches, strict=True))
    ]


def window_of(transformer_options: dict[str, Any]) -> Hashable:
    """The frames of the context window being sampled, None without windows."""
    window = transformer_options.get("context_window")
    if window is None:
        return None
    return (*window.index_list, getattr(window, "causal_anchor_index", None))


def _patches(transformer_options: dict[str, Any]) -> Hashable:
    """Identity of the block replacements in force: extra guidance passes have their own."""
    replaced = transformer_options.get("patches_replace", {}).get("dit", {})
    return frozenset((key, id(patch)) for key, patch in replaced.items())
