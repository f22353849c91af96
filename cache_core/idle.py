"""Runs that compute everything from their first step on, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .decision import Reason
from .few_steps import too_few

if TYPE_CHECKING:
    from .run import Run

ADAPTIVE = "this sampler chooses its steps by comparing results: everything is computed"
ALONE = "one step: the first evaluation of a sampling is always computed"


def why_idle(run: Run) -> Reason | None:
    """Why no step is ever reused, None where steps may be; what users should know is noted.

    CFG Cache is switched off too, but for want of another method.
    """
    few = _few_steps(run)
    reason = Reason.ADAPTIVE if run.facts.adaptive else few
    if run.facts.adaptive:
        run.trace.note(ADAPTIVE)
    if reason:
        run.guidance = None
        return reason
    return None if run.policies else Reason.NO_METHOD


def _few_steps(run: Run) -> Reason | None:
    if run.schedule.steps == 1:
        run.trace.note(ALONE)
        return Reason.FEW_STEPS
    few, wish = too_few(run.facts), run.config.options.on_few_steps
    if few is not None and wish != "allow":
        run.trace.note(f"{few}: everything is computed" if wish == "off" else f"{few}: risky")
    return Reason.FEW_STEPS if few is not None and wish == "off" else None
