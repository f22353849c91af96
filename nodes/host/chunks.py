"""From a model call of the host to chunks of rows with keys that tell them apart."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from torch import Tensor

from ...cache_core.branches import Chunk
from ...cache_core.passes import Passes

PATCHES = ("attn1_patch", "attn2_patch", "double_block")
"""Lists of patches that the forward of Wan calls; it knows no others."""

OVERRIDE = "optimized_attention_override"
"""Another attention (SageAttention and the like) is under this key of the transformer options."""


def chunks_of(
    model: Any, x: Tensor, transformer_options: dict[str, Any], passes: Passes
) -> list[Chunk] | None:
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
    window = window_of(transformer_options)
    where = id(model), window
    rows_of = [(where, uuid, branch) for uuid, branch in zip(uuids, branches, strict=True)]
    group = (*where, passes.name(patches_of(transformer_options), rows_of))
    signature = ((batch, *x.shape[1:]), x.dtype, x.device)
    return [
        Chunk(
            key=(group, uuid, branch),
            group=group,
            branch=branch,
            rows=slice(i * batch, (i + 1) * batch),
            signature=signature,
            window=window,
        )
        for i, (uuid, branch) in enumerate(zip(uuids, branches, strict=True))
    ]


def window_of(transformer_options: dict[str, Any]) -> Hashable:
    """The frames of the context window being sampled, None without windows."""
    window = transformer_options.get("context_window")
    if window is None:
        return None
    return (*window.index_list, getattr(window, "causal_anchor_index", None))


def patches_of(transformer_options: dict[str, Any]) -> dict[Hashable, Any]:
    """What other packs put into the forward of Wan, by where: extra guidance differs in it."""
    found: dict[Hashable, Any] = dict(transformer_options.get("patches_replace", {}).get("dit", {}))
    patches = transformer_options.get("patches", {})
    for name in PATCHES:
        found.update(((name, i), patch) for i, patch in enumerate(patches.get(name, ())))
    if OVERRIDE in transformer_options:
        found[OVERRIDE] = transformer_options[OVERRIDE]
    return found
