"""TeaCache: steps are reused while the predicted change of the output adds up to little.

The rule of ali-vilab/TeaCache for Wan 2.1 (TeaCache4Wan2.1/teacache_generate.py): the relative
change of the time embedding from step to step, through a polynomial fitted to the relative change
of the model's output, is added up since the last computed step; below the threshold the step is
reused. On Wan the signal depends on the timestep alone, so the whole schedule is known beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .errors import require
from .policy import Look, Seen, Verdict
from .timetable import Cumulative, Outlook, Timetable
from .vocabulary import Signal

MOST_CHANGE = 1.0
"""A predicted relative change above 100 % means that the polynomial has left its range."""

RAW_SCALE = 10.0
"""Raw changes are about a tenth of fitted ones (WanVideoWrapper's rule for thresholds)."""


@dataclass(frozen=True)
class Fit:
    """A polynomial from the signal's relative change to the output's, and where it holds.

    coefficients: highest power first. sigmas: the schedule whose steps it was fitted on; its step
    size is part of the fit, since the changes of several steps are added, not fitted.
    """

    coefficients: tuple[float, ...]
    sigmas: tuple[float, ...]


@dataclass(frozen=True)
class TeaCache:
    """TeaCache's numbers.

    threshold: predicted relative change of the output since the last computed step, below which a
    step is reused; without a fit, the signal's own relative change, about ten times smaller.
    signal: the time embedding ``e``, or ``e0`` (its projection), which ``use_ret_steps`` means.
    """

    threshold: float
    signal: Signal = "e0"
    fit: Fit | None = None
    name: str = "TeaCache"
    looks_at: Look = "schedule"

    def __post_init__(self) -> None:
        require(0 <= self.threshold <= 10, "rel_l1_thresh", self.threshold, "0 to 10")

    def describe(self) -> str:
        """The numbers in force."""
        what = "predicted change" if self.fit else "raw change"
        return f"{what} of {self.signal} < {self.threshold:g}"

    def timetable(self, outlook: Outlook) -> Timetable:
        """The same row for every branch: the change each step adds."""
        if self.fit is None:
            changes = relative_changes(outlook.embed(outlook.sigmas, self.signal))
            return Timetable((tuple(changes),))
        return predicted(self.fit, self.signal, outlook)

    def start(self) -> float:
        """Nothing has changed yet."""
        return 0.0

    def judge(self, state: float, distance: float) -> tuple[Verdict, float]:
        """Reuse while the sum stays below the threshold."""
        total = state + distance
        return Verdict(total < self.threshold, total), total

    def computed(self, state: float, seen: Seen) -> float:
        """The sum starts anew."""
        return 0.0


def predicted(fit: Fit, signal: Signal, outlook: Outlook) -> Timetable:
    """The fit's prediction for a run, added up where its steps are not those of the fit.

    On the schedule of the fit this is the published rule. Elsewhere the polynomial would be asked
    for changes it never saw, so the change between two sigmas is that of the fitted steps between
    them. What no change of an output can be (below 0, above 1) is clamped, and said; where that is
    most of the schedule, the polynomial is another model's and the raw signal takes its place.
    A step towards noise changes the output as much as one away from it.
    """
    signals = relative_changes(outlook.embed(fit.sigmas, signal))
    raw = np.polyval(fit.coefficients, signals)
    clamped = np.clip(raw, 0.0, MOST_CHANGE)
    wrong = int((raw != clamped)[1:].sum())
    told = f"polynomial outside 0 to {MOST_CHANGE:g} at {wrong} of {len(raw) - 1} fitted steps"
    if 2 * wrong > len(raw) - 1:
        clamped = RAW_SCALE * np.asarray(signals)
        told += f", not this model's: raw signal times {RAW_SCALE:g} instead"
    total = Cumulative.of(fit.sigmas, clamped.tolist())
    notes = [told] if wrong else []
    changes = tuple(abs(change) for change in total.increments(outlook.sigmas))
    return Timetable((changes,), (*notes, *_range_note(total, outlook.sigmas)))


def relative_changes(signals: Tensor) -> list[float]:
    """mean|m_i - m_(i-1)| / mean|m_(i-1)| of the rows of [steps, features], 0 for the first."""
    rows = signals.float()
    changes = (rows[1:] - rows[:-1]).abs().mean(1) / rows[:-1].abs().mean(1)
    return [0.0, *changes.tolist()]


def sinusoid(timesteps: Tensor, dim: int) -> Tensor:
    """Wan's sinusoidal embedding of timesteps (0 to 1000): [timesteps, dim], fp32.

    Wan2.1 wan/modules/model.py: frequencies 10000^(-i / (dim / 2)), cosines before sines, fp64.
    """
    half = dim // 2
    steps = torch.arange(half, dtype=torch.float64, device=timesteps.device)
    angles = torch.outer(timesteps.double(), torch.pow(10000, -steps / half))
    return torch.cat([angles.cos(), angles.sin()], dim=1).float()


def _range_note(total: Cumulative, sigmas: Sequence[float]) -> list[str]:
    outside = total.outside(sigmas)
    return [f"{outside} of {len(sigmas)} steps outside the fitted schedule"] if outside else []
