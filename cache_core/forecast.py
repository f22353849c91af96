"""What a reused value is, given the values computed so far.

Every forecast here is a linear combination of snapshots: a few weights that follow from positions
alone, and a sum. So is the correction, which puts right what forecasts got wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import require
from .forms import slices
from .keeping import Slot, rows_of
from .schedule import Position
from .vocabulary import Anchor, ForecastForm, TimeAxis
from .weights import (
    abscissa,
    interpolation_weights,
    newest_distinct,
    newton_weights,
    series_weights,
)

ANCHORS = {"denoised": "the denoised latent", "input": "the output relative to the input"}


@dataclass(frozen=True)
class Forecast:
    """How a reused value is made.

    form: ``newton`` is the polynomial through the newest values at their true distances;
    ``series`` the Taylor series of TaylorSeer, from differences over the gaps between them;
    ``hermite`` the same with HiCache's damped Hermite polynomials.
    order: degree, less while there are fewer values; 0 holds the newest. axis: what distances are
    measured in. slope: how much of the way from the newest value to the polynomial's is gone.
    horizon: steps after which that share falls as 1 / elapsed, None for never.
    corrects: once a step is computed, the reused steps before it are made good. anchor: what is
    kept of the model's output. Velocities add up and can be corrected; what is denoised stays when
    a sampler adds fresh noise; relative to the input is how EasyCache was published.
    """

    order: int = 0
    axis: TimeAxis = "logsnr"
    slope: float = 1.0
    form: ForecastForm = "newton"
    horizon: int | None = None
    corrects: bool = False
    anchor: Anchor = "velocity"

    def __post_init__(self) -> None:
        require(0 <= self.order <= 3, "max_order", self.order, "0 (hold) to 3")
        require(0 <= self.slope <= 1, "slope", self.slope, "0 (hold) to 1 (the whole polynomial)")

    @property
    def depth(self) -> int:
        """How many values are worth keeping."""
        return self.order + 1

    def describe(self) -> str:
        """In one short phrase for logs and reports."""
        corrected = ", corrected" if self.corrects else ""
        what = "" if self.anchor == "velocity" else f" of {ANCHORS[self.anchor]}"
        if not self.order or not self.slope:
            return f"hold{what}{corrected}"
        damped = f", slope {self.slope:g}" if self.slope != 1 else ""
        form = "" if self.form == "newton" else f" ({self.form})"
        return f"order {self.order}{what} in {self.axis}{form}{damped}{corrected}"

    def weights(self, positions: Sequence[Position], at: Position) -> list[float]:
        """Of the values at ``positions``, oldest first, for the one at ``at``."""
        points = [abscissa(self.axis, position) for position in positions]
        used = newest_distinct(points, self.order + 1)
        target = abscissa(self.axis, at)
        found = self._rule([points[place] for place in used], target)
        share = self.slope * self._reach(at.step - positions[-1].step)
        weights = [0.0] * len(points)
        for place, weight in zip(used, found, strict=True):
            weights[place] = share * weight
        weights[-1] += 1 - share
        return weights

    def _rule(self, points: Sequence[float], at: float) -> list[float]:
        if self.form == "newton":
            return newton_weights(points, at)
        return series_weights(points, at, self.form == "hermite")

    def _reach(self, elapsed: int) -> float:
        if self.horizon is None or elapsed <= self.horizon:
            return 1.0
        return self.horizon / elapsed


@dataclass(frozen=True)
class Owed:
    """A reused step that is to be made good: where it was, and the weights it was made with.

    length: how far the sampler went with it, in sigma.
    """

    position: Position
    length: float
    weights: tuple[float, ...]


def correction_weights(
    positions: Sequence[Position], now: Position, length: float, owed: Sequence[Owed]
) -> list[float]:
    """What to add to a value just computed, so that the steps reused before it are made good.

    A sampler that goes x += length * v went with forecasts in the reused steps. Now that the value
    at ``now`` is known, the values between it and the one before it can be interpolated, which is
    far better than extrapolating was. The difference, added up over the reused steps and divided by
    the ``length`` of the current step, takes the sampler to where interpolated values would have.

    Weights of the values at ``positions`` (oldest first), then that of the value at ``now``, which
    is 1 if nothing is owed.
    """
    known = [*positions, now]
    total = [0.0] * len(positions) + [1.0]
    for debt in owed:
        share = debt.length / length
        for place, weight in enumerate(interpolation_weights(known, debt.position)):
            total[place] += share * weight
        for place, weight in enumerate(debt.weights):
            total[place] -= share * weight
    return total


def combine(
    values: Sequence[Tensor | Slot],
    weights: Sequence[float],
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """The weighted sum, added up in fp32, in a new tensor of this type, on this device."""
    result = torch.empty(values[-1].shape, dtype=dtype, device=device)
    combine_into(result, values, weights)
    return result


def combine_into(
    result: Tensor, values: Sequence[Tensor | Slot], weights: Sequence[float]
) -> None:
    """Writes the weighted sum, added up in fp32, into a contiguous tensor of the values' shape."""
    flat = result.view(-1, result.shape[-1])
    terms_of = [(w, rows_of(v, result.device)) for v, w in zip(values, weights, strict=True) if w]
    for part in slices(*flat.shape):
        terms = [rows(part) if weight == 1 else weight * rows(part) for weight, rows in terms_of]
        flat[part] = sum(terms[1:], terms[0]) if terms else 0.0
