"""The pictures of the demo: clips side by side, and what happened at every step."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy
from PIL import Image, ImageSequence

from .client import Json

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import Patch

SHOWN = 6
GAIN = 5
COMPUTED, REUSED = "#2f6fb3", "#f2b84b"
METRIC, THRESHOLD = "#333333", "#c0392b"
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


def timeline(path: Path, trace: Json, title: str) -> None:
    """A cell per step and branch, above the metric that decided."""
    records = trace.get("records", [])
    figure, (cells, curve) = pyplot.subplots(
        2, 1, figsize=(11, 4.8), sharex=True, height_ratios=(1, 2)
    )
    _draw_cells(cells, records)
    _draw_metric(curve, records, threshold_of(trace))
    curve.set_xlim(0.5, max((record["step"] for record in records), default=0) + 1.5)
    figure.suptitle(f"Wan Step Cache demo: {title}", fontsize=14)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    pyplot.close(figure)


def _draw_cells(axes: Axes, records: Sequence[Json]) -> None:
    branches = sorted({record["branch"] for record in records})
    for record in records:
        colour = REUSED if record["action"] == "reuse" else COMPUTED
        row = branches.index(record["branch"])
        axes.barh(row, 0.9, 0.8, left=record["step"] + 0.55, color=colour)
    axes.set_yticks(range(len(branches)), branches, fontsize=11)
    axes.invert_yaxis()
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    key = [Patch(color=COMPUTED, label="computed"), Patch(color=REUSED, label="reused")]
    axes.legend(handles=key, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)


def _draw_metric(axes: Axes, records: Sequence[Json], threshold: float | None) -> None:
    for name, points in metric_lines(records).items():
        steps, values = [p["step"] + 1 for p in points], [p["metric"] for p in points]
        colours = [REUSED if point["action"] == "reuse" else COMPUTED for point in points]
        axes.plot(steps, values, color=METRIC, linewidth=1, zorder=1, label=name)
        axes.scatter(steps, values, c=colours, s=42, zorder=2)
    if threshold is not None:
        axes.axhline(threshold, color=THRESHOLD, linestyle="--", label=f"threshold {threshold:g}")
    axes.set_xlabel("step", fontsize=11)
    axes.set_ylabel("relative change", fontsize=11)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=10)


def metric_lines(records: Sequence[Json]) -> dict[str, list[Json]]:
    """The records that have a metric, by line; one line where the branches share the metric."""
    seen = [record for record in records if record["metric"] is not None]
    branches = sorted({record["branch"] for record in seen})
    lines = {branch: [r for r in seen if r["branch"] == branch] for branch in branches}
    values = {tuple(record["metric"] for record in line) for line in lines.values()}
    if len(values) == 1:
        return {"relative change": lines[branches[0]]}
    return {f"relative change ({branch})": line for branch, line in lines.items()}


def threshold_of(trace: Json) -> float | None:
    """The threshold of the first method that has one."""
    settings = [method.get("settings", {}) for method in trace.get("methods", ())]
    return next((s["threshold"] for s in settings if s.get("threshold") is not None), None)
