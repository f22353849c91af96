"""A stand-in of the host's model for one call: its weights, and other ways past its blocks.

The forward of every Wan class goes through ``blocks`` and then into a head. In a shallow copy of
the model these can be others, for one call and one thread; the model itself is left as it is.
Without blocks a forward goes from the embeddings to the head, and what a class does between its
blocks is not done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any

from torch import Tensor
from torch.nn import Module

Forward = Callable[..., Tensor]
"""A model's forward behind the wrappers of others: the arguments of WanModel.forward."""

EnterHead = Callable[..., Tensor]
"""``enter(head, tokens, *rest)``: what is called in place of ``head(tokens, *rest)``."""


def behind_wrappers(executor: Any, forward: Forward) -> Any:
    """The host's executor with ``forward`` in the place of the model's own."""
    wrappers, place = executor.wrappers, executor.idx
    return executor.new_class_executor(forward, executor.class_obj, wrappers, place)


def standing_in(forward: Forward, model: Any, enter_head: EnterHead, **modules: Any) -> Forward:
    """``forward``, a method of ``model``, as that of a copy with other heads and ``modules``."""
    heads = {name: partial(enter_head, head) for name, head in heads_of(model).items()}
    copy = object.__new__(type(model))
    vars(copy).update({k: bound_to(copy, value, model) for k, value in vars(model).items()})
    vars(copy)["_modules"] = {**vars(model)["_modules"], **heads, **modules}
    return bound_to(copy, forward, model)


def without_blocks(model: Any) -> dict[str, Any]:
    """Modules for a forward with no blocks: what only blocks look at is zeros that take no room.

    Text and positions: their embeddings would be most of what a reuse costs in a small model, and
    where weights are kept in RAM, those of the text would be fetched for nothing.
    """
    return {
        "blocks": (),
        "text_embedding": partial(unembedded, model.dim),
        "rope_embedder": Unrotated(model.dim // model.num_heads),
    }


def unembedded(dim: int, text: Tensor) -> Tensor:
    """Zeros in the place of embedded text [rows, tokens, text dim]: [rows, tokens, dim]."""
    return text.new_zeros(()).expand(*text.shape[:-1], dim)


@dataclass(frozen=True)
class Unrotated:
    """In the place of an embedder of positions. width: of an attention head.

    theta: the base of its frequencies, which the host may read to rotate further: zeros stay zeros.
    """

    width: int
    theta: float = 1.0

    def __call__(self, ids: Tensor) -> Tensor:
        """Zeros for positions [rows, tokens, axes]: [rows, 1, tokens, width / 2, 2, 2]."""
        rows, tokens, _ = ids.shape
        return ids.new_zeros(()).expand(rows, 1, tokens, self.width // 2, 2, 2)


def heads_of(model: Any) -> dict[str, Module]:
    """The model's heads by name. WanDancer has two, ``head_global`` for other frame rates."""
    return {k: v for k, v in model.named_children() if k == "head" or k.startswith("head_")}


def bound_to(copy: Any, value: Any, model: Any) -> Any:
    """A method of ``model`` as that of its copy; anything else as it is.

    Engines for many GPUs put a forward of their own onto the model, bound to it.
    """
    bound = isinstance(value, MethodType) and value.__self__ is model
    return MethodType(value.__func__, copy) if bound else value
