"""The picture of the main scenario: mean PSNR over the measured speed-up."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from .curves import Curve, curves, psnr_at
from .scenario import MAIN
from .statistics import mean

Json = dict[str, Any]
INK, PALE = "#222222", "#dddddd"
STYLES = {
    "FBCache": ("#D55E00", "o"),
    "TeaCache e0": ("#0072B2", "s"),
    "TeaCache e": ("#56B4E9", "D"),
    "MagCache": ("#009E73", "^"),
    "TaylorSeer": ("#CC79A7", "v"),
    "AdaCache": ("#E69F00", "p"),
    "CustomCache": ("#7B4B1E", "<"),
    "EasyCache": ("#000000", "*"),
    "CFG Cache": ("#8E6BBF", "X"),
    "EasyCache + CFG Cache": ("#6B8E23", "P"),
    "host EasyCache, input copied": ("#555555", "*"),
    "host LazyCache": ("#888888", "h"),
    "fewer steps": ("#555555", "s"),
    "every k-th step": ("#888888", "o"),
}
"""Colours that colour-blind people can tell apart (Okabe and Ito), and a marker for each."""

BELOW = "host EasyCache"
"""As shipped it is so far below that it would squeeze all the others."""

LEGENDS = (
    ("This pack", "pack", "upper left", 1.0),
    ("Compared with", "baseline", "lower left", 0.0),
)
ORDER_AT = 0.45
DPI = 150


def draw(path: Path, found: Json) -> None:
    """Writes the picture."""
    rows = found["scenarios"][MAIN.name]["rows"]
    lines = curves(rows)
    with pyplot.rc_context({"font.size": 11, "axes.edgecolor": "#999999", "text.color": INK}):
        figure, axes = pyplot.subplots(figsize=(11, 6.6))
        for name in ordered(lines):
            _line(axes, name, lines[name])
        _frame(axes, found)
        _legends(axes, lines)
        _footnote(axes, lines.get(BELOW))
        figure.savefig(path, dpi=DPI, facecolor="white", bbox_inches="tight", pad_inches=0.2)
        pyplot.close(figure)


def ordered(lines: dict[str, Curve]) -> list[str]:
    """The names with a style, as they lie above each other."""
    known = [name for name in STYLES if name in lines]
    return sorted(known, key=lambda name: -_height(lines[name]))


def _height(curve: Curve) -> float:
    at = psnr_at(curve, ORDER_AT)
    return mean(at if at else [row["psnr"]["mean"] for row in curve])


def _line(axes: Axes, name: str, curve: Curve) -> None:
    colour, marker = STYLES[name]
    pack = curve[0]["family"] == "pack"
    speed = [1 / row["measured_time_ratio"] for row in curve]
    quality = [row["psnr"]["mean"] for row in curve]
    bars = [
        [q - row["psnr"]["interval"][0] for q, row in zip(quality, curve, strict=True)],
        [row["psnr"]["interval"][1] - q for q, row in zip(quality, curve, strict=True)],
    ]
    axes.errorbar(speed, quality, bars, fmt="none", ecolor=colour, elinewidth=1, alpha=0.45)
    axes.plot(
        speed,
        quality,
        color=colour,
        marker=marker,
        markersize=11 if marker == "*" else 7,
        markeredgecolor="white",
        markeredgewidth=0.7,
        linestyle="-" if pack else (0, (5, 3)),
        linewidth=2 if pack else 1.5,
        label=name,
        zorder=3 if pack else 2,
    )


def _frame(axes: Axes, found: Json) -> None:
    count = len(found["settings"]["prompts"])
    axes.set_title(
        f"Quality by measured speed-up: tiny Wan, {MAIN.title}, {count} prompts",
        loc="left",
        fontsize=13,
        pad=12,
    )
    axes.set_xlabel("speed-up: processor time of the samplings without over with")
    axes.set_ylabel("PSNR against the uncached clip, dB (mean, 95 % interval)")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    axes.grid(color=PALE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0)


def _legends(axes: Axes, lines: dict[str, Curve]) -> None:
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    for title, family, corner, height in LEGENDS:
        names = [name for name in handles if lines[name][0]["family"] == family]
        legend = axes.figure.legend(
            [handles[name] for name in names],
            names,
            title=title,
            loc=corner,
            bbox_to_anchor=(1.01, height),
            bbox_transform=axes.transAxes,
            frameon=False,
            alignment="left",
            handlelength=3.2,
            labelspacing=0.7,
        )
        legend.get_title().set_fontweight("bold")


def _footnote(axes: Axes, shipped: Curve | None) -> None:
    if not shipped:
        return
    highest = max(row["psnr"]["mean"] for row in shipped)
    axes.text(
        0.99,
        0.99,
        "In each legend: best at the top. Up and to the right is better.\n"
        f"The host's EasyCache as shipped lies below {math.ceil(highest)} dB:\n"
        "on a CPU it spoils its own input.",
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=9.5,
        color="#666666",
    )
