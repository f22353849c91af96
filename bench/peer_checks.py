"""What one method of `bench peers` leaves behind, and what it does to other kinds of renders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cache_core.comparison import compare
from cache_core.errors import StepCacheError

from .peer_packs import Inputs, Method
from .peer_server import Render, RenderFailed
from .peer_yard import Yard

Json = dict[str, Any]
YES = "yes"


def checks(yard: Yard, method: Method, inputs: Inputs) -> Json:
    """Verdicts in words: `yes`, or what was the matter."""
    return {
        "settings": inputs,
        **identities(yard, method, inputs),
        "apart": verdict(lambda: apart(yard, method, inputs)),
        "vace_never": verdict(lambda: vace_never(yard, method)),
        "vace_reusing": verdict(lambda: vace_reusing(yard, method)),
    }


def verdict(check: Callable[[], str]) -> str:
    """The check's, or the error."""
    try:
        return check()
    except (RenderFailed, StepCacheError) as error:
        return f"error: {error}"


def identities(yard: Yard, method: Method, inputs: Inputs) -> Json:
    """The same prompt again, and the graph without the method's nodes, on one model object.

    The nodes before the sampler answer from memory the second time.
    """
    copy = yard.copy()
    try:
        chain = yard.chain(method, inputs)
        run = yard.first(chain, copy)
    except RenderFailed as error:
        return dict.fromkeys(("second_run", "bypass"), f"error: {error}")
    return {
        "second_run": verdict(lambda: alike(run, yard.first(chain, copy))),
        "bypass": verdict(lambda: alike(yard.references[0], yard.first((), copy))),
    }


def apart(yard: Yard, method: Method, inputs: Inputs) -> str:
    """Quality where the host runs the branches in calls of their own, beside where it does not."""
    chain = yard.chain(method, inputs)
    together, run = yard.first(chain, yard.copy()), yard.first(chain, yard.copy(), apart=True)
    found, usual = psnr(yard.apart, run), psnr(yard.references[0], together)
    return f"{found:.1f} dB with {run.computed:g} computed ({usual:.1f} with {together.computed:g})"


def vace_never(yard: Yard, method: Method) -> str:
    """With settings that reuse no step, a model with a control video gives its own bits."""
    if method.never is None:
        return "not tried: no setting is known that reuses nothing"
    run = yard.vace(yard.chain(method, method.never))
    if run.digest == yard.controlled.digest:
        return YES
    without = psnr(yard.uncontrolled, run)
    return f"{alike(yard.controlled, run)}; {without:.1f} dB from a render without control"


def vace_reusing(yard: Yard, method: Method) -> str:
    """Reusing steps of a model with a control video: whether that runs."""
    run = yard.vace(yard.chain(method, method.often or method.settings[0]))
    return f"{YES}: {run.computed:g} of {yard.size.vace_steps} computed"


def alike(reference: Render, run: Render) -> str:
    """Whether two renders are the same to the last bit, and else how far apart."""
    if reference.digest == run.digest:
        return YES
    return f"no: {psnr(reference, run):.1f} dB apart, {run.computed:g} steps computed"


def psnr(reference: Render, run: Render) -> float:
    """Of two renders in dB."""
    return compare(reference.frames, run.frames).psnr
