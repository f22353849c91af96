"""One forward of the host's WanModel whose block stack is measured, or bypassed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from torch import Tensor

from ...cache_core.call import Call
from ...cache_core.decision import Reason
from .forward import OPTIONS_ARGUMENT, SkipRest, original_block, watched, with_options, with_patch
from .stand_in import behind_wrappers, standing_in, without_blocks

FOR_BLOCKS_ALONE = {
    "WanModel_S2V": "audio_embed",
    "HumoWanModel": "audio_embed",
    "WanDancerModel": "audio_embed",
    "AnimateWanModel": "face_pixel_values",
}
"""By class, an input that goes to what is within or between its blocks, and into no token."""


def forward_hidden(executor: Any, args: list[Any], kwargs: dict[str, Any], call: Call) -> Tensor:
    """Cache the residual of the block stack: a reused call runs block 0 at most, and the head."""
    stack = HiddenStack(executor, call)
    output = behind_wrappers(executor, stack.forward)(*args, **kwargs)
    call.give_up(Reason.NOT_OBSERVED)
    if not call.reuses and stack.measured:
        call.record_residual(stack.base, stack.end, output)
    return output


class HiddenStack:
    """The block stack of one forward, run or bypassed.

    Measured at the head, behind everything the host adds between and after blocks (hints, audio,
    faces), so that the residual holds them and a reuse needs none of them to run. It starts behind
    block 0 where every method looks at that block, else in front of it.

    base, end: the tokens where it starts and at the head, [rows, tokens, dim], None until seen.
    restored: what a reuse has at the head instead.
    """

    def __init__(self, executor: Any, call: Call) -> None:
        self.model = executor.class_obj
        self.original = executor.original
        self.call = call
        self.behind = call.run.behind_block_0
        self.base: Tensor | None = None
        self.end: Tensor | None = None
        self.restored: Tensor | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The model's forward, in up to two passes: with blocks, and without them where it reuses.

        A pass that finds out that it should be the other one is left at once.
        """
        self.base = self.end = self.restored = None
        bypassed = self.call.reuses and not self.behind
        with suppress(SkipRest):
            return self._pass(bypassed, args, kwargs)
        return self._pass(self.restored is not None, args, kwargs)

    @property
    def measured(self) -> bool:
        """True when the forward went through block 0 and the head with the same tokens."""
        both = self.base is not None and self.end is not None
        return both and self.base.shape == self.end.shape

    def _pass(self, bypassed: bool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        return (self._without_blocks if bypassed else self._with_blocks)(args, kwargs)

    def _with_blocks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """All blocks run, unless block 0 shows that the call is to be reused."""
        options = watched(self.call, args[OPTIONS_ARGUMENT])
        options, self.run_block = with_patch(options, 0, self._block_0)
        self.patched = "double_block" in options["patches"]
        forward = standing_in(self.original, self.model, self._measure)
        return forward(*with_options(args, options), **kwargs)

    def _block_0(self, args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        """Run block 0, decide, and leave if that was enough."""
        entered = args["img"] if self.behind else self._entered(args["img"])
        out = self.run_block(args, extra)
        if not self.call.settled:
            self.call.observe(args["img"], out["img"])
        if self.call.reuses:
            self.restored = self.call.reuse(out["img"] if self.behind else entered)
            if self.restored is not None:
                raise SkipRest
        self.base = self._left(out["img"]) if self.behind else entered
        return out

    def _measure(self, head: Any, tokens: Tensor, *rest: Any) -> Tensor:
        """A head is entered after all blocks."""
        self.end = tokens
        return head(tokens, *rest)

    def _without_blocks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """From the embeddings to the head: nothing within or between the blocks runs."""
        modules = without_blocks(self.model)
        forward = standing_in(self.original, self.model, self._restore, **modules)
        options = dict(args[OPTIONS_ARGUMENT])  # the host writes into it
        unused = FOR_BLOCKS_ALONE.get(type(self.model).__name__)
        needed = {name: None if name == unused else value for name, value in kwargs.items()}
        latent, timestep, text, _image, *rest = args  # only blocks attend to text and image
        return forward(*with_options([latent, timestep, text, None, *rest], options), **needed)

    def _restore(self, head: Any, tokens: Tensor, *rest: Any) -> Tensor:
        """A head is entered straight from the embeddings; leave if there is nothing to reuse."""
        if self.restored is None:
            self.restored = self.call.reuse(tokens)
        if self.restored is None:
            raise SkipRest
        return head(self.restored, *rest)

    def _entered(self, tokens: Tensor) -> Tensor | None:
        """Block 0's input as a base: copied where a patch may hand it on to what writes into it."""
        foreign = self.run_block is not original_block
        return self._copy(tokens) if foreign else tokens

    def _left(self, tokens: Tensor) -> Tensor | None:
        """Block 0's output as a base: copied where what is between blocks may write into it."""
        plain = type(self.model).__name__ == "WanModel" and not self.patched
        return tokens if plain else self._copy(tokens)

    def _copy(self, tokens: Tensor) -> Tensor | None:
        """None where there is no room for it."""
        return self.call.run.shield(tokens.clone)
