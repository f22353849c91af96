"""How alike two clips are: frames [frames, height, width, channels] in 0..1, as in ComfyUI.

All measures are means of numbers that every frame has: those of a clip follow from those of its
frames, and one frame at a time is worked on, in double precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from .errors import StepCacheError

FORMAT_VERSION = 1
MOST_DECIBELS = 100.0
"""Said of clips that are the same, so that means stay numbers."""

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
"""SSIM's constants for a range of 1 (Wang et al. 2004)."""


@dataclass(frozen=True)
class Comparison:
    """What sets a clip apart from another, frame by frame.

    squares: mean squared errors. likeness: structural similarities. unrest: temporal-difference
    errors of a frame and the one before it, so one less than there are frames.
    """

    squares: list[float]
    likeness: list[float]
    unrest: list[float]

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio of the clip in dB, ``MOST_DECIBELS`` where nothing differs."""
        return decibels(mean(self.squares))

    @property
    def ssim(self) -> float:
        """Structural similarity of the clip, 1 where nothing differs."""
        return mean(self.likeness)

    @property
    def temporal(self) -> float:
        """Temporal-difference error of the clip; 0 for a single frame, which does not move."""
        return mean(self.unrest) if self.unrest else 0.0

    @property
    def same(self) -> bool:
        """True when nothing differs at all."""
        return not any(self.squares)

    @cached_property
    def psnrs(self) -> list[float]:
        """Peak signal-to-noise ratio of each frame in dB."""
        return [decibels(square) for square in self.squares]

    @property
    def worst(self) -> int:
        """The frame that is least alike, counted from 0."""
        return self.squares.index(max(self.squares))


def compare(reference: Tensor, candidate: Tensor) -> Comparison:
    """Measure ``candidate`` against ``reference``; StepCacheError if they cannot be compared."""
    refuse(reference, candidate)
    pairs = list(zip(reference, candidate, strict=True))
    return Comparison(
        squares=[squared_error(*pair) for pair in pairs],
        likeness=[similarity(*pair) for pair in pairs],
        unrest=[unrest(*now, *after) for now, after in pairwise(pairs)],
    )


def told(comparison: Comparison) -> list[str]:
    """The measures in words, of the clip and of its least alike frame."""
    frames = len(comparison.squares)
    if comparison.same:
        return [f"identical to the last bit in all of {frames} frames"]
    worst = comparison.worst
    return [
        f"PSNR {comparison.psnr:.2f} dB, SSIM {comparison.ssim:.4f}, "
        f"temporal-difference error {comparison.temporal:.5f}, over {frames} frames",
        f"least alike: frame {worst + 1} with {comparison.psnrs[worst]:.2f} dB, "
        f"SSIM {comparison.likeness[worst]:.4f}",
    ]


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All measures as plain JSON values; the first frame has none before it."""
    return {
        "version": FORMAT_VERSION,
        "psnr": comparison.psnr,
        "ssim": comparison.ssim,
        "temporal_difference_error": comparison.temporal,
        "frames": {
            "psnr": comparison.psnrs,
            "ssim": comparison.likeness,
            "temporal_difference_error": [None, *comparison.unrest],
        },
    }


def refuse(reference: Tensor, candidate: Tensor) -> None:
    """StepCacheError with the remedy, unless there is a number for every pair of pixels."""
    if reference.shape != candidate.shape:
        raise StepCacheError(
            f"`candidate` has {described(candidate)}, `reference` {described(reference)}: only "
            "clips of the same length and size can be compared. Render both with the same length, "
            "width and height, and decode both in the same way."
        )
    if not len(reference) or min(reference.shape[1:3]) < WINDOW:
        raise StepCacheError(
            f"`reference` and `candidate` have {described(reference)}, but SSIM needs one frame of "
            f"{WINDOW}x{WINDOW} at least. Connect decoded images of that size or more."
        )
    for name, clip in (("reference", reference), ("candidate", candidate)):
        wrong = [str(n) for n, frame in enumerate(clip, 1) if not torch.isfinite(frame).all()]
        if wrong:
            raise StepCacheError(
                f"`{name}` has values that are no numbers in {len(wrong)} frames, the first is "
                f"frame {wrong[0]}. Its render went wrong: look at it, and render it again."
            )


def described(clip: Tensor) -> str:
    """Its shape in words."""
    frames, height, width, channels = clip.shape
    colours = "" if channels == 3 else f" in {channels} channels"
    return f"{frames} frame{'s' if frames != 1 else ''} of {width}x{height}{colours}"


def decibels(square: float) -> float:
    """A mean squared error as a ratio to a peak of 1."""
    return min(-10 * math.log10(square), MOST_DECIBELS) if square else MOST_DECIBELS


def squared_error(reference: Tensor, candidate: Tensor) -> float:
    """Mean squared difference of two frames."""
    return (reference.double() - candidate.double()).square().mean().item()


def unrest(now: Tensor, now_candidate: Tensor, after: Tensor, after_candidate: Tensor) -> float:
    """Temporal-difference error: mean |what the candidate changes - what the reference changes|.

    From one frame to the next, over pixels and channels, in units of the pixel range: flicker and
    wrong motion count, an error that stands still does not.
    """
    wrong_now = now_candidate.double() - now.double()
    wrong_after = after_candidate.double() - after.double()
    return (wrong_after - wrong_now).abs().mean().item()


def similarity(reference: Tensor, candidate: Tensor) -> float:
    """SSIM of two frames: the mean over channels and all places the Gaussian window fits in."""
    x, y = reference.double().movedim(-1, 0), candidate.double().movedim(-1, 0)
    mean_x, mean_y, xx, yy, xy = (blurred(part) for part in (x, y, x * x, y * y, x * y))
    var_x, var_y, both = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + C1) * (2 * both + C2)
    scale = (mean_x**2 + mean_y**2 + C1) * (var_x + var_y + C2)
    return (likeness / scale).mean().item()


def blurred(planes: Tensor) -> Tensor:
    """Means under the window at all places it fits in, along one axis after the other."""
    return along(along(planes, -1), -2)


def along(planes: Tensor, axis: int) -> Tensor:
    """Means under the window along one axis, which gets ``WINDOW - 1`` shorter."""
    places = planes.shape[axis] - WINDOW + 1
    weights = window()
    means = planes.narrow(axis, 0, places) * weights[0]
    for start, weight in enumerate(weights[1:], 1):
        means.add_(planes.narrow(axis, start, places), alpha=weight)
    return means


def window() -> list[float]:
    """The Gaussian window along an axis; it adds up to 1."""
    weights = [math.exp(-((i - WINDOW // 2) ** 2) / (2 * SIGMA**2)) for i in range(WINDOW)]
    return [weight / sum(weights) for weight in weights]


def difference(reference: Tensor, candidate: Tensor) -> Tensor:
    """Mean absolute difference over the channels of two frames, [height, width] in fp32."""
    return (reference.float() - candidate.float()).abs().mean(-1)


def mean(values: list[float]) -> float:
    """The mean of some numbers."""
    return sum(values) / len(values)
