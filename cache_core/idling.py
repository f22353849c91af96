"""Samplings in which no step is reused, and what people are told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .decision import Reason
from .few_steps import too_few

if TYPE_CHECKING:
    from .run import Run

FRAME_BY_FRAME = (
    "ar_video samples a few frames at a time, and each from what the model remembers of those "
    "before; a reused step would leave a gap in that: every step is computed"
)


def idle_because(run: Run) -> Reason | None:
    """Why no step of a run is ever reused, noted in its trace; None where steps may be."""
    if run.facts.autoregressive:
        run.trace.note(FRAME_BY_FRAME)
        run.trace.followed = False
        return Reason.FRAME_BY_FRAME
    few, wish = too_few(run.facts), run.config.options.on_few_steps
    if few is not None and wish != "allow":
        run.trace.note(f"{few}: everything is computed" if wish == "off" else f"{few}: risky")
    if few is not None and wish == "off":
        return Reason.FEW_STEPS
    return None if run.policies else Reason.NO_METHOD
