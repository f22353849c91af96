"""Seeing what goes into the block stack of one forward, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from ...cache_core.shield import shielded
from .forward import OPTIONS_ARGUMENT, with_options, with_patch


class Tap:
    """The tokens before block 0 and before the head: [rows, tokens, dim], None until seen."""

    def __init__(self) -> None:
        self.before: Tensor | None = None
        self.after: Tensor | None = None

    @property
    def residual(self) -> Tensor | None:
        """What the stack, and all that runs between its blocks, added; None if not seen whole."""
        if self.before is None or self.after is None or self.before.shape != self.after.shape:
            return None
        return self.after - self.before


@contextmanager
def tapped(
    model: Any, args: list[Any], failed: Callable[[Exception], None]
) -> Iterator[tuple[Tap, list[Any]]]:
    """A tap on one forward of ``model``, and the arguments to call it with.

    ``failed`` hears of errors of the tap's own, after which it has seen nothing.
    """
    tap = Tap()

    def block_0(block_args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        tap.before = shielded(block_args["img"].clone, failed)  # what follows may write into it
        return run_block(block_args, extra)

    def before_head(head: Any, head_args: tuple[Any, ...]) -> None:
        tap.after = head_args[0]

    options, run_block = with_patch(args[OPTIONS_ARGUMENT], 0, block_0)
    handle = model.head.register_forward_pre_hook(before_head)
    try:
        yield tap, with_options(args, options)
    finally:
        handle.remove()
