"""Why a run computes everything, where that is known before it starts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .decision import FAILSAFES, Reason
from .few_steps import too_few

if TYPE_CHECKING:
    from .run import Run

log = logging.getLogger(__name__)
RIVAL = (
    "ComfyUI's {rival} node and Apply {own} are on one model: two caches that take each other's "
    "reused steps for computed ones. This run leaves everything to {rival}: remove one of the two"
)
FRAME_BY_FRAME = (
    "ar_video samples a few frames at a time, and each from what the model remembers of those "
    "before; a reused step would leave a gap in that: every step is computed"
)
ALONE = "one step: the first evaluation of a sampling is always computed"
ADAPTIVE = "this sampler chooses its steps by comparing results: everything is computed"


def idle_from_start(run: Run) -> Reason | None:
    """Why no step of ``run`` is ever reused, noted in its trace; None where steps may be."""
    reason = _frame_by_frame(run) or _rival(run) or _adaptive(run) or _few_steps(run)
    if reason:
        run.guidance = None
    return reason or (None if run.policies else Reason.NO_METHOD)


def idle_because(run: Run) -> Reason | None:
    """Why the evaluation under way is computed without asking methods, None where they are asked.

    CFG Cache alone says why it wants all branches; that prompts changed is nothing unexpected.
    """
    full = run.evaluation.full if run.evaluation else None
    alone = run.idle is Reason.NO_METHOD and full not in FAILSAFES
    return full or run.idle if alone else run.idle


def _frame_by_frame(run: Run) -> Reason | None:
    if not run.facts.autoregressive:
        return None
    run.trace.note(FRAME_BY_FRAME)
    run.trace.followed = False
    return Reason.FRAME_BY_FRAME


def _rival(run: Run) -> Reason | None:
    rival, names = run.facts.rival, [choice.name for choice in run.config.methods]
    if rival is None:
        return None
    told = RIVAL.format(rival=rival, own=" and Apply ".join(names))
    log.warning("Wan Step Cache: %s", told)
    run.trace.note(told)
    return Reason.RIVAL


def _adaptive(run: Run) -> Reason | None:
    if not run.facts.adaptive:
        return None
    run.trace.note(ADAPTIVE)
    return Reason.ADAPTIVE


def _few_steps(run: Run) -> Reason | None:
    if run.schedule.steps == 1:
        run.trace.note(ALONE)
        return Reason.FEW_STEPS
    few, wish = too_few(run.facts), run.config.options.on_few_steps
    if few is None or wish == "allow":
        return None
    run.trace.note(f"{few}: everything is computed" if wish == "off" else f"{few}: risky")
    return Reason.FEW_STEPS if wish == "off" else None
