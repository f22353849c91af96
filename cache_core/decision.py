"""Compute or reuse, and why: the vocabulary of decisions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Action(str, Enum):
    """What happens to one branch of one evaluation."""

    COMPUTE = "compute"
    REUSE = "reuse"


class Reason(str, Enum):
    """Why. The words are shown to users and written to traces: they are part of the format."""

    BELOW_THRESHOLD = "below threshold"
    ABOVE_THRESHOLD = "above threshold"
    FIRST = "first evaluation"
    OUTSIDE_WINDOW = "outside window"
    WARM_UP = "warm-up"
    LAST_STEPS = "last steps"
    MAX_SKIPS = "max consecutive skips"
    INTERVAL = "interval over"
    LEARNING = "too little known yet"
    FEW_STEPS = "too few steps"
    ADAPTIVE = "adaptive sampler"
    NO_METHOD = "no step method"
    FRAME_BY_FRAME = "frame by frame"
    COMPILED = "model compiled whole"
    RIVAL = "another cache on the model"
    MASK = "step mask"
    JOINED = "batched with a computed branch"
    GUIDANCE = "guidance difference"
    RANKS = "another rank computes"
    NO_HISTORY = "no history"
    CHANGED = "changed input"
    NOT_FINITE = "metric not finite"
    NO_SIGNAL = "signal not known"
    NOT_OBSERVED = "block patch not called"
    COLLAPSE = "collapse alarm"
    MEMORY = "out of memory"
    ERROR = "error"


FAILSAFES = frozenset(
    {
        *(Reason.NO_HISTORY, Reason.CHANGED, Reason.NOT_FINITE),
        *(Reason.NO_SIGNAL, Reason.NOT_OBSERVED, Reason.ERROR),
        *(Reason.COLLAPSE, Reason.MEMORY, Reason.RANKS),
    }
)
"""Reasons that mean 'something was not as expected, so it was computed': counted in every trace."""


@dataclass(frozen=True)
class Decision:
    """What was decided for a branch, by which method, on which metric."""

    action: Action
    reason: Reason
    metric: float | None = None
    method: str | None = None

    @property
    def reuses(self) -> bool:
        """True when the branch is not computed."""
        return self.action is Action.REUSE


def compute(reason: Reason, metric: float | None = None) -> Decision:
    """A decision to compute; no method takes the credit."""
    return Decision(Action.COMPUTE, reason, metric)


def reuse(method: str, metric: float | None = None) -> Decision:
    """A decision to reuse, taken by ``method``."""
    return Decision(Action.REUSE, Reason.BELOW_THRESHOLD, metric, method)
