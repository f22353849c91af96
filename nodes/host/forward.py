"""One forward of the host's WanModel under the control of a call of the run.

The block stack is reached through the host's own block-replace patches, put into a copy of this
call's options, and a temporary hook before the head: nothing stays behind in the model or in the
host's dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ...cache_core.call import Call
from ...cache_core.decision import Reason

OPTIONS_ARGUMENT = 5
"""Position of ``transformer_options`` in WanModel.forward, which always passes it by position."""

Patch = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]


class SkipRest(BaseException):
    """Leaves the model after block 0: the value is known without the rest. Never seen outside.

    Not an Exception, since nothing failed: handlers of errors on the way must let it pass.
    """


def forward_output(executor: Any, args: list[Any], kwargs: dict[str, Any], call: Call) -> Tensor:
    """Cache the model's output (velocity): a reused call runs block 0 at most."""
    if not call.settled:
        output = _observing(executor, args, kwargs, call)
        if output is not None:
            return call.record_output(output)
    if call.reuses:
        reused = call.reuse()
        if reused is not None:
            return reused
    options = watched(call, args[OPTIONS_ARGUMENT])
    return call.record_output(executor(*with_options(args, options), **kwargs))


def _observing(executor: Any, args: list[Any], kwargs: dict[str, Any], call: Call) -> Tensor | None:
    """Run the model, deciding after block 0: its output, or None if the decision was to reuse."""

    def block_0(block_args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        out = run_block(block_args, extra)
        call.observe(block_args["img"], out["img"])
        if call.reuses:
            raise SkipRest
        return out

    options, run_block = with_patch(watched(call, args[OPTIONS_ARGUMENT]), 0, block_0)
    try:
        output = executor(*with_options(args, options), **kwargs)
    except SkipRest:
        return None
    call.give_up(Reason.NOT_OBSERVED)
    return output


def watched(call: Call, options: dict[str, Any]) -> dict[str, Any]:
    """A copy of the options in which blocks show themselves to the policies that watch them."""
    for block in call.run.watching:
        options = _watched_block(call, options, block)
    return options


def _watched_block(call: Call, options: dict[str, Any], block: int) -> dict[str, Any]:
    def watching(block_args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        out = run_block(block_args, extra)
        call.watch(block, block_args["img"], out["img"])
        return out

    copied, run_block = with_patch(options, block, watching)
    return copied


def forward_hidden(executor: Any, args: list[Any], kwargs: dict[str, Any], call: Call) -> Tensor:
    """Cache the residual of the block stack: a reused call runs block 0 at most, and the head."""
    stack = HiddenStack(executor.class_obj, call, args[OPTIONS_ARGUMENT])
    handle = executor.class_obj.head.register_forward_pre_hook(stack.before_head)
    try:
        output = executor(*with_options(args, stack.options), **kwargs)
    finally:
        handle.remove()
    call.give_up(Reason.NOT_OBSERVED)
    if not call.reuses and stack.measured:
        call.record_residual(stack.base, stack.end, output)
    return output


class HiddenStack:
    """The block stack of one forward, run or bypassed.

    Measured at the head, behind everything the host adds between and after blocks (hints, audio,
    faces), so that the residual holds them and a reuse needs none of them to run. It starts behind
    block 0 where every method looks at that block, else in front of it.
    """

    def __init__(self, model: Any, call: Call, options: dict[str, Any]) -> None:
        self.model = model
        self.call = call
        self.options, self.run_block = with_patch(watched(call, options), 0, self.block_0)
        self.foreign = self.run_block is not _original_block
        self.base: Tensor | None = None
        self.end: Tensor | None = None
        self.restored: Tensor | None = None

    def block_0(self, args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        """Run block 0 unless a reuse is known to need it not; decide; bypass what is reused."""
        behind = self.call.run.behind_block_0
        entered = args["img"].clone() if self.foreign and not behind else args["img"]
        out = None if self.call.reuses and not behind else self.run_block(args, extra)
        if out is not None and not self.call.settled:
            self.call.observe(entered, out["img"])
        base = out["img"] if behind else entered
        self.restored = self.call.reuse(base) if self.call.reuses else None
        if self.restored is not None:
            self._bypass()
            return out or _pass_through(args, extra)
        self.base = self.call.run.shield(lambda: self._unwritten(base))
        return out or self.run_block(args, extra)

    def before_head(self, head: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """See what the stack made of the tokens, or put the restored ones in their place."""
        if self.restored is not None:
            return (self.restored, *args[1:])
        self.end = args[0]
        return None

    @property
    def measured(self) -> bool:
        """True when the forward went through block 0 and the head with the same tokens."""
        both = self.base is not None and self.end is not None
        return both and self.base.shape == self.end.shape

    def _bypass(self) -> None:
        blocks = self.options["patches_replace"]["dit"]
        for index in range(1, len(self.model.blocks)):
            blocks[("double_block", index)] = _pass_through
        self.options.get("patches", {}).pop("double_block", None)

    def _unwritten(self, tokens: Tensor) -> Tensor:
        """Block 0's output, copied where something may write into it before the head sees it."""
        plain = type(self.model).__name__ == "WanModel"
        written = not plain or "double_block" in self.options.get("patches", {})
        return tokens.clone() if written else tokens


def _pass_through(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    return {"img": args["img"]}


def with_patch(options: dict[str, Any], block: int, patch: Patch) -> tuple[dict[str, Any], Patch]:
    """A copy of the options with ``patch`` on a block, and what ran that block until now."""
    replaced = options.get("patches_replace", {})
    blocks = dict(replaced.get("dit", {}))
    foreign: Patch | None = blocks.get(("double_block", block))
    blocks[("double_block", block)] = patch
    copied = {**options, "patches_replace": {**replaced, "dit": blocks}}
    copied["patches"] = dict(options.get("patches", {}))
    return copied, foreign or _original_block


def _original_block(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    return extra["original_block"](args)


def with_options(args: list[Any], options: dict[str, Any]) -> list[Any]:
    """The arguments of a forward with other options."""
    return [*args[:OPTIONS_ARGUMENT], options, *args[OPTIONS_ARGUMENT + 1 :]]
