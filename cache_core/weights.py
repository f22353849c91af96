"""Forecasts as weights: how much to take of each of the values computed so far.

Pure functions of numbers. All of them give weights for values at ``points``, oldest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import factorial, log, prod

from .schedule import Position
from .vocabulary import TimeAxis

NEAREST_END = 2e-3
"""Log-SNR is infinite at sigma 0 and 1: sigmas are kept this far from both."""

HERMITE_SCALE = 0.5
"""HiCache's sigma."""


def abscissa(axis: TimeAxis, position: Position) -> float:
    """Where a position lies on a time axis: its step, its sigma, or log((1 - sigma) / sigma)."""
    if axis == "step":
        return position.step + position.ahead
    if axis == "sigma":
        return position.sigma
    inside = min(max(position.sigma, NEAREST_END), 1 - NEAREST_END)
    return log((1 - inside) / inside)


def newest_distinct(points: Sequence[float], most: int) -> list[int]:
    """Places of the newest ``most`` points that differ from each other, oldest first.

    Samplers with several evaluations a step may ask for the same sigma twice; of equal points the
    newest counts.
    """
    kept: list[int] = []
    for place in reversed(range(len(points))):
        if len(kept) < most and all(points[place] != points[other] for other in kept):
            kept.append(place)
    return kept[::-1]


def newton_weights(points: Sequence[float], at: float) -> list[float]:
    """The interpolating polynomial at ``at``.

    Newton's form summed up by value (Lagrange's basis): exact for polynomials of a degree below the
    number of points, whatever their spacing. The points are distinct.
    """
    return [
        prod((at - other) / (point - other) for j, other in enumerate(points) if j != k)
        for k, point in enumerate(points)
    ]


def series_weights(points: Sequence[float], at: float, damped: bool = False) -> list[float]:
    """TaylorSeer's series: sum of D_i d^i / i!, d the distance from the newest point.

    D_0 is the newest value, D_(i+1) the difference of D_i and the D_i before it over the newest
    gap (Shenyi-Z/TaylorSeer, cache_functions). damped: HiCache's polynomials
    scale^i H_i(scale d) take the place of d^i.
    """
    units = [[float(k == j) for j in range(len(points))] for k in range(len(points))]
    differences, gaps = [units[-1]], [after - before for before, after in pairwise(points)]
    level = units
    while len(level) > 1:
        used = gaps[len(gaps) - len(level) + 1 :]
        pairs = zip(pairwise(level), used, strict=True)
        level = [[(b - a) / gap for a, b in zip(*two, strict=True)] for two, gap in pairs]
        differences.append(level[-1])
    distance = at - points[-1]
    terms = [_term(i, distance, damped) / factorial(i) for i in range(len(differences))]
    return [
        sum(term * row[k] for term, row in zip(terms, differences, strict=True))
        for k in range(len(points))
    ]


def _term(degree: int, distance: float, damped: bool) -> float:
    return (
        HERMITE_SCALE**degree * hermite(degree, HERMITE_SCALE * distance)
        if damped
        else (distance**degree)
    )


def hermite(degree: int, x: float) -> float:
    """The physicists' Hermite polynomial H_degree at x, by its recurrence; H_0 is 1."""
    before, now = 0.0, 1.0
    for n in range(degree):
        before, now = now, 2 * x * now - 2 * n * before
    return now


def interpolation_weights(positions: Sequence[Position], at: Position) -> list[float]:
    """The parabola in log-SNR through the three newest values, or the line through two."""
    points = [abscissa("logsnr", position) for position in positions]
    used = newest_distinct(points, 3)
    found = newton_weights([points[place] for place in used], abscissa("logsnr", at))
    weights = [0.0] * len(points)
    for place, weight in zip(used, found, strict=True):
        weights[place] = weight
    return weights
