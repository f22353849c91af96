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
    window = window_of(transformer_options)
    group = (id(model), window, patches_of(transformer_options))
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


def patches_of(transformer_options: dict[str, Any]) -> Hashable:
    """What changes the model in this call: extra passes of guidance have patches of their own."""
    replaced = transformer_options.get("patches_replace", {}).items()
    added = transformer_options.get("patches", {}).items()
    override = transformer_options.get("optimized_attention_override")
    return (
        frozenset((name, k, Same(patch)) for name, of in replaced for k, patch in of.items()),
        frozenset((name, *map(Same, patches)) for name, patches in added),
        Same(override),
    )


class Same:
    """An object of others within a key: equal to itself alone, and kept, so that no new one can
    come to lie where it was.
    """

    def __init__(self, what: object) -> None:
        self.what = what

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.what is other.what

    def __hash__(self) -> int:
        return id(self.what)
