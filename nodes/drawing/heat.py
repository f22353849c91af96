"""Differences as colours."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ...cache_core.comparison import difference

ANCHORS = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
"""From nothing to the most. Brightness grows evenly, so that it is read without telling hues apart
(inferno by Smith and van der Walt, public domain)."""

SHADES = 256


@cache
def table() -> Tensor:
    """The colours of all shades, [SHADES, 3] in 0..1."""
    anchors = torch.tensor(ANCHORS, dtype=torch.float32).T[None] / 255
    even = torch.nn.functional.interpolate(anchors, SHADES, mode="linear", align_corners=True)
    return even[0].T.contiguous()


def coloured(shares: Tensor) -> Tensor:
    """Shares of the most, any shape, as colours [..., 3] in 0..1."""
    shades = (shares.clamp(0, 1) * (SHADES - 1)).round().long()
    return table().to(shares.device)[shades]


def heat(reference: Tensor, candidate: Tensor, most: float) -> Tensor:
    """How two clips [frames, height, width, channels] differ, as such a clip of three channels.

    most: the mean absolute difference over the channels that has the brightest colour.
    """
    pairs = zip(reference, candidate, strict=True)
    return torch.stack([coloured(difference(*pair) / most) for pair in pairs])
