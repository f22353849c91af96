"""What static policies know before the first step: one distance for every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from torch import Tensor

from .embedded import interpolate
from .vocabulary import Signal

SAME = 1e-6
"""Noise levels closer than this are one: a tenth of what two timesteps of fp32 differ by."""


@dataclass(frozen=True)
class Outlook:
    """What a run knows of itself before its first step.

    sigmas: the noise level each step starts at. embed: the model's own time embedding ``e`` or its
    projection ``e0`` at some sigmas, [sigmas, features] in fp32.
    """

    sigmas: tuple[float, ...]
    embed: Callable[[Sequence[float], Signal], Tensor]


@dataclass(frozen=True)
class Timetable:
    """Distances by branch (cond first) and step, and what was assumed to get them.

    A branch without a row of its own goes by the first. The first step has no distance: nothing
    came before it, and what stands there is never used.
    """

    rows: tuple[tuple[float, ...], ...]
    notes: tuple[str, ...] = ()

    def at(self, branch: int, step: int) -> float:
        """The distance of ``step`` to the step before it."""
        row = self.rows[branch] if branch < len(self.rows) else self.rows[0]
        return row[step]


@dataclass(frozen=True)
class Cumulative:
    """A quantity that adds up over a falling sigma, known at the sigmas of a calibrated schedule.

    Linear between them, and outside them as steep as in the outermost interval.
    """

    sigmas: tuple[float, ...]
    totals: tuple[float, ...]

    @classmethod
    def of(cls, sigmas: Sequence[float], increments: Sequence[float]) -> Cumulative:
        """From the increment of every step to the one before; that of the first is left out."""
        return cls(tuple(sigmas), tuple(accumulate(increments[1:], initial=0.0)))

    def increments(self, sigmas: Sequence[float]) -> list[float]:
        """What every step of another schedule adds, 0 for its first."""
        return _steps(self._at(np.asarray(sigmas)))

    def embedded(self, outlook: Outlook) -> list[float]:
        """As ``increments`` of the run's sigmas, but between the calibrated ones along the time
        embedding instead of a line. No embedding is made for a run of the calibrated sigmas only.
        """
        wanted = np.asarray(outlook.sigmas)
        totals = self._at(wanted)
        between = (wanted < self.sigmas[0]) & (wanted > self.sigmas[-1])
        between &= ~np.isclose(wanted[:, None], self.sigmas, rtol=0, atol=SAME).any(1)
        if between.any():
            sigmas = [*self.sigmas, *wanted[between].tolist()]
            embeddings = outlook.embed(sigmas, "e0").cpu().double().numpy()
            known = np.asarray(self.totals)
            totals[between] = interpolate(sigmas, embeddings, known, len(known))
        return _steps(totals)

    def outside(self, sigmas: Sequence[float]) -> int:
        """How many of these sigmas lie a step or more outside the calibrated ones."""
        most = 2 * self.sigmas[0] - self.sigmas[1]
        least = 2 * self.sigmas[-1] - self.sigmas[-2]
        return sum(not least <= sigma <= most for sigma in sigmas)

    def _at(self, sigmas: Any) -> Any:
        knots, totals = np.asarray(self.sigmas[::-1]), np.asarray(self.totals[::-1])
        slopes = np.diff(totals) / np.diff(knots)
        inside = np.interp(sigmas, knots, totals)
        below, above = np.minimum(sigmas - knots[0], 0), np.maximum(sigmas - knots[-1], 0)
        return inside + below * slopes[0] + above * slopes[-1]


def _steps(totals: Any) -> list[float]:
    return [0.0, *(float(after - before) for before, after in pairwise(totals))]


def native_sigmas(steps: int, shift: float) -> tuple[float, ...]:
    """The noise levels of Wan's own flow schedule (Wan2.1, wan/utils/fm_solvers_unipc.py).

    ``steps`` times from 0.999 towards 0, shifted, then cut to whole timesteps of a thousandth.
    """
    times = np.linspace(0.999, 0, steps + 1)[:-1]
    shifted = shift * times / (1 + (shift - 1) * times)
    return tuple(float(timestep) / 1000 for timestep in (shifted * 1000).astype(np.int64))
