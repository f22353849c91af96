"""One forward of the host's WanModel under the control of a call of the run.

Blocks are reached through the host's own block-replace patches, put into a copy of this call's
options: nothing stays behind in the model or in the host's dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from ...cache_core.call import Call
from ...cache_core.decision import Reason

OPTIONS_ARGUMENT = 5
"""Position of ``transformer_options`` in WanModel.forward, which always passes it by position."""

Patch = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]


class SkipRest(BaseException):
    """Leaves a forward in the middle: it is known without the rest what to do. Never seen outside.

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


def with_patch(options: dict[str, Any], block: int, patch: Patch) -> tuple[dict[str, Any], Patch]:
    """A copy of the options with ``patch`` on a block, and what ran that block until now."""
    replaced = options.get("patches_replace", {})
    blocks = dict(replaced.get("dit", {}))
    foreign: Patch | None = blocks.get(("double_block", block))
    blocks[("double_block", block)] = patch
    copied = {**options, "patches_replace": {**replaced, "dit": blocks}}
    copied["patches"] = dict(options.get("patches", {}))
    return copied, foreign or original_block


def original_block(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Runs a block that no patch replaces."""
    return extra["original_block"](args)


def with_options(args: Sequence[Any], options: dict[str, Any]) -> list[Any]:
    """The arguments of a forward with other options."""
    return [*args[:OPTIONS_ARGUMENT], options, *args[OPTIONS_ARGUMENT + 1 :]]
