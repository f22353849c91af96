"""Numbers about numbers: intervals, interpolation, what no other row beats."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch

RESAMPLES = 4000
SEED = 2024
CONFIDENCE = 0.95

Interval = tuple[float, float]


def bootstrap(values: Sequence[float]) -> Interval:
    """The interval that holds the mean with 95 % confidence, by resampling with a fixed seed."""
    data = torch.tensor(values, dtype=torch.float64)
    generator = torch.Generator().manual_seed(SEED)
    picks = torch.randint(len(data), (RESAMPLES, len(data)), generator=generator)
    tail = (1 - CONFIDENCE) / 2
    bounds = torch.tensor([tail, 1 - tail], dtype=torch.float64)
    low, high = torch.quantile(data[picks].mean(1), bounds).tolist()
    return low, high


def mean(values: Sequence[float]) -> float:
    """The mean."""
    return sum(values) / len(values)


def median(values: Sequence[float]) -> float:
    """The middle one, or the mean of the two in the middle."""
    ascending, middle = sorted(values), len(values) // 2
    if len(values) % 2:
        return ascending[middle]
    return (ascending[middle - 1] + ascending[middle]) / 2


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which (cost, quality) no other beats: none costs no more and is better, or less and as good.

    In order of cost; of equal points the first.
    """
    best, found = float("-inf"), []
    for which in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i)):
        if points[which][1] > best:
            best = points[which][1]
            found.append(which)
    return found


def at_cost(curve: Sequence[tuple[float, Sequence[float]]], cost: float) -> list[float] | None:
    """Values (one per prompt) at a cost, between the two points of a curve around it.

    None where the curve does not reach so far: nothing is extrapolated.
    """
    ordered = sorted(curve, key=lambda point: point[0])
    for (below, low), (above, high) in pairwise(ordered):
        if below <= cost <= above and below < above:
            share = (cost - below) / (above - below)
            return [a + share * (b - a) for a, b in zip(low, high, strict=True)]
    return None
