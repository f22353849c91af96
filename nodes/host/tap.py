"""Seeing what goes into the block stack of one forward, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ...cache_core.shield import shielded
from .forward import OPTIONS_ARGUMENT, with_options, with_patch
from .stand_in import behind_wrappers, standing_in


class Tap:
    """The tokens before block 0 and before the head: [rows, tokens, dim], None until seen.

    ``failed`` hears of errors of the tap's own, after which it has seen nothing.
    """

    def __init__(self, executor: Any, failed: Callable[[Exception], None]) -> None:
        self.executor = executor
        self.failed = failed
        self.before: Tensor | None = None
        self.after: Tensor | None = None

    @property
    def residual(self) -> Tensor | None:
        """What the stack, and all that runs between its blocks, added; None if not seen whole."""
        if self.before is None or self.after is None or self.before.shape != self.after.shape:
            return None
        return self.after - self.before

    def call(self, *args: Any, **kwargs: Any) -> Tensor:
        """Go on with the host's executor, seeing what the model's forward does."""
        return behind_wrappers(self.executor, self._forward)(*args, **kwargs)

    def _forward(self, *args: Any, **kwargs: Any) -> Tensor:
        options, self.run_block = with_patch(args[OPTIONS_ARGUMENT], 0, self._block_0)
        forward = standing_in(self.executor.original, self.executor.class_obj, self._head)
        return forward(*with_options(args, options), **kwargs)

    def _block_0(self, args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        self.before = shielded(args["img"].clone, self.failed)  # what follows may write into it
        return self.run_block(args, extra)

    def _head(self, head: Any, tokens: Tensor, *rest: Any) -> Tensor:
        self.after = tokens
        return head(tokens, *rest)
