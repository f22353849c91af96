"""How alike two clips are: frames [T, C, H, W] in 0..1."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MOST_DECIBELS = 100.0
"""Said of clips that are the same, so that means stay numbers."""

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
"""SSIM's constants for a range of 1 (Wang et al. 2004)."""


def psnr(reference: Tensor, candidate: Tensor) -> float:
    """Peak signal-to-noise ratio of a clip in dB."""
    error = (reference.double() - candidate.double()).square().mean().item()
    return min(-10 * math.log10(error), MOST_DECIBELS) if error else MOST_DECIBELS


def ssim(reference: Tensor, candidate: Tensor) -> float:
    """Structural similarity, the mean over frames, channels and all places the window fits in."""
    x, y = reference.double(), candidate.double()
    mean_x, mean_y, xx, yy, xy = (blurred(part) for part in (x, y, x * x, y * y, x * y))
    var_x, var_y, both = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + C1) * (2 * both + C2)
    scale = (mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2)
    return (likeness / scale).mean().item()


def blurred(planes: Tensor) -> Tensor:
    """Means under a Gaussian window at all places it fits in, along one axis after the other."""
    return window(planes.shape[-2]) @ planes @ window(planes.shape[-1]).mT


def window(size: int) -> Tensor:
    """A row for each place of the window along an axis of this size: [size - 10, size]."""
    places = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-(places**2) / (2 * SIGMA**2))
    rows = torch.zeros(size - WINDOW + 1, size, dtype=torch.float64)
    for start, row in enumerate(rows):
        row[start : start + WINDOW] = weights / weights.sum()
    return rows
