"""A trace as a small table for the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .trace import Trace

SHARES = ("min", "p25", "p50", "p75", "p95", "max")


def summary_table(trace: Trace) -> str:
    """Totals, averages, percentiles of the metric and failsafes of a run, one row each."""
    summary = trace.summary()
    return "\n".join([trace.model, *_branches(summary), *_metrics(summary), *_failsafes(summary)])


def _branches(summary: dict[str, Any]) -> list[str]:
    seconds, series = summary["average_seconds"], summary["average_reused_in_a_row"]
    rows = [
        (name, row["computed"], row["reused"], row["computed"] + row["reused"])
        for name, row in summary["branches"].items()
    ]
    return [
        _row("", ["computed", "reused", "all"]),
        *(_row(name, counts) for name, *counts in rows),
        _row("seconds each, host's", [_number(seconds["computed"]), _number(seconds["reused"])]),
        _row("in a row, mean", ["", _number(series)]),
    ]


def _metrics(summary: dict[str, Any]) -> list[str]:
    rows = [
        _row(f"{name} metric", [_number(shares[share]) for share in SHARES])
        for name, shares in summary["metrics"].items()
    ]
    return [_row("", SHARES), *rows] if rows else []


def _failsafes(summary: dict[str, Any]) -> list[str]:
    found = summary["failsafes"] or {"none": ""}
    return [_row(f"failsafe {reason}", [count]) for reason, count in found.items()]


def _row(name: str, cells: Sequence[object]) -> str:
    return f"{name:<28}" + "".join(f"{cell!s:>10}" for cell in cells).rstrip()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
