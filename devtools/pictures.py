"""The picture of the demo: clips side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy
from PIL import Image, ImageSequence

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

SHOWN = 6
GAIN = 5
DPI = 130


def frames(webp: bytes) -> numpy.ndarray:
    """An animated picture as bytes [frames, height, width, 3]."""
    with Image.open(io.BytesIO(webp)) as clip:
        return numpy.stack([numpy.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(clip)])


def compare(path: Path, uncached: numpy.ndarray, cached: numpy.ndarray, title: str) -> None:
    """Three rows: without the cache, with it, and how they differ."""
    picked = numpy.linspace(0, len(uncached) - 1, min(SHOWN, len(uncached))).round().astype(int)
    difference = numpy.abs(uncached.astype(int) - cached.astype(int))
    amplified = (difference * GAIN).clip(0, 255).astype("uint8")
    rows = (
        ("without the cache", uncached),
        ("with the cache", cached),
        (f"difference x{GAIN}", amplified),
    )
    figure, axes = pyplot.subplots(3, len(picked), figsize=(1.9 * len(picked), 6.6), squeeze=False)
    for line, (name, clip) in zip(axes, rows, strict=True):
        _film_strip(line, name, clip, picked)
    for axis, index in zip(axes[0], picked, strict=True):
        axis.set_title(f"frame {index + 1}", fontsize=11)
    figure.suptitle(f"Wan Step Cache demo: {title}", fontsize=14)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    pyplot.close(figure)


def _film_strip(
    axes: Sequence[Axes], name: str, clip: numpy.ndarray, picked: numpy.ndarray
) -> None:
    for axis, index in zip(axes, picked, strict=True):
        axis.imshow(clip[index], interpolation="nearest")
        axis.set(xticks=[], yticks=[])
    axes[0].set_ylabel(name, fontsize=12)
