"""CFG Cache: on most computed evaluations the uncond branch does not run.

Cond and uncond differ by little that changes slowly, so ``uncond = cond + difference`` with the
difference of the last evaluation that ran both (FasterCache, arXiv 2410.19355, "CFG-Cache"; there
in two bands of frequency, each with a weight). Guidance multiplies what is wrong with it by
``scale - 1``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import torch
from torch import Tensor

from .errors import require
from .policy import Look

LOW_BAND = 5
"""The low band is a disk of frequencies, 1 / 5 of the shorter side in radius (FasterCache)."""

MOST = 20
"""The longest interval."""


@dataclass(frozen=True)
class CFGCache:
    """Of ``interval`` computed evaluations one runs both branches, between two percents.

    start_percent, end_percent: of the whole schedule, 0 to 1. low_frequency_weight,
    high_frequency_weight: what the bands of a reused difference are multiplied by. tuned_at: the
    guidance scale that the interval is for, None if it is for any.
    """

    interval: int
    start_percent: float
    end_percent: float
    low_frequency_weight: float = 1.0
    high_frequency_weight: float = 1.0
    tuned_at: float | None = None
    name: str = "CFG Cache"
    looks_at: Look = "guidance"

    def __post_init__(self) -> None:
        start, end = self.start_percent, self.end_percent
        within = 1 <= self.interval <= MOST
        require(within, "interval", self.interval, f"1 (run both always) to {MOST}")
        require(0 <= start < 1, "start_percent", start, "0 to below 1 (0.5 is half the schedule)")
        require(start < end <= 1, "end_percent", end, f"above `start_percent` ({start}), at most 1")

    def at_scale(self, scale: float | None) -> CFGCache:
        """The same for another guidance scale, with an interval that is wrong by as much.

        Guidance multiplies an error by ``scale - 1``, and a forecast of order 1 is wrong by the
        square of the distance. 2 at least, and twice the interval at most.
        """
        if self.tuned_at is None or scale is None or scale <= 1 or scale == self.tuned_at:
            return self
        wanted = self.interval * sqrt((self.tuned_at - 1) / (scale - 1))
        return replace(self, interval=max(2, min(round(wanted), 2 * self.interval)))

    def describe(self) -> str:
        """The numbers in force."""
        weights = self.low_frequency_weight, self.high_frequency_weight
        bands = "" if weights == (1, 1) else f", bands x{weights[0]:g} and x{weights[1]:g}"
        where = f"{100 * self.start_percent:g} to {100 * self.end_percent:g} % of the schedule"
        return f"uncond runs once in {self.interval} computed evaluations, {where}{bands}"

    def weighted(self, difference: Tensor) -> Tensor:
        """A difference [..., height, width] with its bands weighted."""
        low, high = self.low_frequency_weight, self.high_frequency_weight
        if low == high:
            return difference if low == 1 else difference * low
        spectrum = torch.fft.fft2(difference.float())
        inside = _disk(difference.shape[-2], difference.shape[-1], difference.device)
        found: Tensor = torch.fft.ifft2(torch.where(inside, low, high) * spectrum).real
        return found.to(difference.dtype)


def _disk(height: int, width: int, device: torch.device) -> Tensor:
    """True for the low frequencies of a spectrum [height, width], zero frequency first."""
    rows = torch.fft.fftfreq(height, 1 / height, device=device)
    columns = torch.fft.fftfreq(width, 1 / width, device=device)
    return torch.hypot(rows[:, None], columns) <= min(height, width) // LOW_BAND
