"""Models that show no blocks, since torch.compile took them whole."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .decision import Reason

if TYPE_CHECKING:
    from .run import Run

log = logging.getLogger(__name__)
LOOK_AT_BLOCKS = ("block", "past")
"""What policies look at that such a model does not show."""

NOT_SHOWN = (
    "the model is compiled whole and shows no blocks, which {} by: compile its blocks one by one "
    "instead, or apply TeaCache, MagCache or EasyCache"
)
LOWERED = (
    "the model is compiled whole, so values are kept at the output level; set cache_level to output"
)


def lose_blocks(run: Run) -> None:
    """The model of ``run`` shows no blocks: methods that look at them decide nothing.

    The others reuse its output, whatever level was asked for. Without any, all is computed.
    """
    if run.blind is not None or run.idle:
        return
    run.blind = {i for i, p in enumerate(run.policies) if p.looks_at in LOOK_AT_BLOCKS}
    run.probing = {}
    if run.blind:
        names = " and ".join(run.policies[i].name for i in sorted(run.blind))
        _tell(run, NOT_SHOWN.format(f"{names} decide" + "s" * (len(run.blind) == 1)))
    if len(run.blind) == len(run.policies):
        run.idle = Reason.COMPILED
    elif run.level == "hidden":
        run.level = run.trace.level = "output"
        _tell(run, LOWERED)


def _tell(run: Run, text: str) -> None:
    run.trace.note(text)
    log.warning("Wan Step Cache: %s", text)
