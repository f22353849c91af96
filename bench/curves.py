"""Rows of results as curves: quality over cost, a curve for each method and forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .selection import drawn
from .statistics import at_cost

Json = dict[str, Any]
Curve = list[Json]
HOST = "host EasyCache, input copied"
"""What every method is compared with."""


def curves(rows: Sequence[Json], forecast: str = "auto") -> dict[str, Curve]:
    """The rows of each sweep by method, from much computed to little; baselines have one only."""
    found: dict[str, Curve] = {}
    for row in rows:
        if drawn(row["kind"], row["forecast"], forecast):
            found.setdefault(row["method"], []).append(row)
    return {
        name: sorted(curve, key=lambda row: -row["computed_share"]) for name, curve in found.items()
    }


def psnr_at(curve: Curve | None, share: float) -> list[float] | None:
    """PSNR of every prompt at a computed share, None where the curve does not reach it."""
    points = [(row["computed_share"], row["psnr"]["prompts"]) for row in curve or ()]
    return at_cost(points, share)
