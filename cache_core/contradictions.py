"""Options that are right each for itself, but not together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import require
from .masks import parse_mask

if TYPE_CHECKING:
    from .config import Options

DECIDED_BY_A_MASK = ("warmup_steps", "last_steps", "max_consecutive_skips")


def refuse_contradictions(options: Options) -> None:
    """StepCacheError if two of the options cannot both be meant."""
    start, end, most = options.start_percent, options.end_percent, options.max_consecutive_skips
    require(start < end, "start_percent", start, f"below `end_percent` ({end})")
    many = options.alternating and most is not None and most > 1
    remedy = "0, 1 or left to the preset (-1) where `alternating` is on"
    require(not many, "max_consecutive_skips", most, remedy)
    if parse_mask(options.step_mask) is None:
        return
    for name in DECIDED_BY_A_MASK:
        value = getattr(options, name)
        remedy = "left to the preset (-1) where a `step_mask` says what every step does"
        require(value is None, name, value, remedy)
    remedy = "off where a `step_mask` says what every step does"
    require(not options.alternating, "alternating", True, remedy)
