"""Samplings in which no step is reused, and what people are told of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .decision import Reason
from .few_steps import too_few

if TYPE_CHECKING:
    from .run import Run

log = logging.getLogger(__name__)
FRAME_BY_FRAME = (
    "ar_video samples a few frames at a time, and each from what the model remembers of those "
    "before; a reused step would leave a gap in that: every step is computed"
)
RIVAL = (
    "ComfyUI's {rival} node and Apply {own} are on one model: two caches that take each other's "
    "reused steps for computed ones. This run leaves everything to {rival}: remove one of the two"
)


def idle_because(run: Run) -> Reason | None:
    """Why no step of a run is ever reused, noted in its trace; None where steps may be."""
    if run.facts.autoregressive:
        run.trace.note(FRAME_BY_FRAME)
        run.trace.followed = False
        return Reason.FRAME_BY_FRAME
    if run.facts.rival is not None:
        own = " and Apply ".join(choice.name for choice in run.config.methods)
        run.trace.note(RIVAL.format(rival=run.facts.rival, own=own))
        log.warning("Wan Step Cache: %s", run.trace.notes[-1])
        return Reason.RIVAL
    few, wish = too_few(run.facts), run.config.options.on_few_steps
    if few is not None and wish != "allow":
        run.trace.note(f"{few}: everything is computed" if wish == "off" else f"{few}: risky")
    if few is not None and wish == "off":
        return Reason.FEW_STEPS
    return None if run.policies else Reason.NO_METHOD
