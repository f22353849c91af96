"""A quantity of the noise level, known at some sigmas, interpolated along the time embedding.

A diffusion model sees the noise level through its time embedding only, whose fast sinusoids change
within a step: what a calibration measures is no smooth function of sigma, and a line through 50
values misses those in between by more than their own spread. It is smooth along the embedding.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

LENGTH = 10.0
"""Of the kernel, in deviations of the embedding; far beyond the distances met: a stiff curve."""

SIGMA = 2.0
"""How much a distance in sigma counts beside a deviation of the embedding."""

JITTER = 1e-9


def interpolate(sigmas: Any, embeddings: Any, values: Any, known: int) -> Any:
    """Values at the sigmas after the first ``known``, at which they are given.

    sigmas: [n]. embeddings: [n, features], the projected time embedding at them. values: [known].
    Kriging with a Matern kernel (nu = 3/2) over embedding and sigma, exact at the known ones.
    """
    centred = embeddings - embeddings[:known].mean(0)
    deviation = sqrt(float(np.square(centred[:known]).sum(1).mean())) or 1.0
    places = np.column_stack([centred / deviation, SIGMA * np.asarray(sigmas)])
    kernel = _matern(_distances(places, places[:known]))
    mean = values.mean()
    weights = np.linalg.solve(kernel[:known] + JITTER * np.eye(known), values - mean)
    return mean + kernel[known:] @ weights


def _distances(places: Any, others: Any) -> Any:
    return np.stack([np.linalg.norm(places - other, axis=1) for other in others], axis=1)


def _matern(distances: Any) -> Any:
    scaled = sqrt(3) * distances / LENGTH
    return (1 + scaled) * np.exp(-scaled)
