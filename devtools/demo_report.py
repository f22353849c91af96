"""The numbers of the demo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean
from typing import TYPE_CHECKING

from .client import Json

if TYPE_CHECKING:
    import numpy

    from .render import Clip

    Pair = tuple[Clip, Clip]
    Frames = tuple[numpy.ndarray, numpy.ndarray]

PEAK = 255.0


def psnr(reference: numpy.ndarray, candidate: numpy.ndarray) -> float:
    """Peak signal-to-noise ratio of two clips of bytes in dB, infinite if they are the same."""
    error = float(((reference.astype("float64") - candidate.astype("float64")) ** 2).mean())
    return 10 * math.log10(PEAK**2 / error) if error else math.inf


def decibels(value: float) -> float | None:
    """Rounded for the report, which says None where nothing differs."""
    return None if math.isinf(value) else round(value, 2)


def measure(
    jobs: Sequence[tuple[str, int]], pairs: Sequence[Pair], clips: Sequence[Frames], version: str
) -> Json:
    """Everything the report holds."""
    renders = [_render(job, pair, clip) for job, pair, clip in zip(jobs, pairs, clips, strict=True)]
    return {
        "comfyui_version": version,
        "method": "FBCache",
        "preset": "balanced",
        **_totals(renders),
        "renders": renders,
        "trace": pairs[0][1].trace,
    }


def _render(job: tuple[str, int], pair: Pair, clip: Frames) -> Json:
    uncached, cached = pair
    trace = cached.trace or {"summary": {}, "records": []}
    return {
        "text": job[0],
        "seed": job[1],
        **steps(trace["records"]),
        "seconds_uncached": round(uncached.seconds, 3),
        "seconds_cached": round(cached.seconds, 3),
        "speedup": round(uncached.seconds / cached.seconds, 2),
        "psnr_db": decibels(psnr(*clip)),
        "cache_bytes": trace["summary"].get("peak_cache_bytes"),
        "reused_step_cost": reused_cost(trace["records"]),
    }


def steps(records: Sequence[Json]) -> dict[str, int]:
    """Steps that ran the model, and steps that did not for any branch."""
    computed = {record["step"] for record in records if record["action"] == "compute"}
    every = {record["step"] for record in records}
    return {"steps_computed": len(computed), "steps_reused": len(every - computed)}


def reused_cost(records: Sequence[Json]) -> float | None:
    """Time of a reused step as a share of a computed one."""
    times = {
        action: [record["seconds"] for record in records if record["action"] == action]
        for action in ("compute", "reuse")
    }
    if not all(times.values()):
        return None
    return round(float(mean(times["reuse"]) / mean(times["compute"])), 4)


def _totals(renders: Sequence[Json]) -> Json:
    before = sum(render["seconds_uncached"] for render in renders)
    after = sum(render["seconds_cached"] for render in renders)
    qualities = [r["psnr_db"] for r in renders if r["psnr_db"] is not None]
    costs = [r["reused_step_cost"] for r in renders if r["reused_step_cost"] is not None]
    return {
        "steps_computed": sum(render["steps_computed"] for render in renders),
        "steps_reused": sum(render["steps_reused"] for render in renders),
        "seconds_uncached": round(before, 3),
        "seconds_cached": round(after, 3),
        "speedup": round(before / after, 2),
        "psnr_db_mean": round(mean(qualities), 2) if qualities else None,
        "psnr_db_worst": min(qualities, default=None),
        "cache_bytes": max(render["cache_bytes"] or 0 for render in renders),
        "reused_step_cost": round(mean(costs), 4) if costs else None,
    }


def table(report: Json) -> str:
    """The report for people."""
    head = ("render", "computed", "reused", "without", "with", "speed-up", "PSNR")
    rows = [_row(render["text"], render, render["psnr_db"]) for render in report["renders"]]
    rows.append(_row("all", report, report["psnr_db_mean"]))
    layout = "{:<28}{:>9}{:>8}{:>10}{:>9}{:>10}{:>10}"
    lines = [layout.format(*row) for row in (head, *rows)]
    lines.insert(1, "-" * len(lines[0]))
    lines.insert(-1, "-" * len(lines[0]))
    return "\n".join((*lines, "", *_footnotes(report)))


def _row(name: str, numbers: Json, quality: float | None) -> tuple[str, ...]:
    return (
        name,
        str(numbers["steps_computed"]),
        str(numbers["steps_reused"]),
        f"{numbers['seconds_uncached']:.2f} s",
        f"{numbers['seconds_cached']:.2f} s",
        f"{numbers['speedup']:.2f}x",
        "identical" if quality is None else f"{quality:.1f} dB",
    )


def _footnotes(report: Json) -> list[str]:
    share = report["reused_step_cost"]
    cost = "no step was reused" if share is None else f"{share:.1%} of a computed one"
    return [
        f"ComfyUI {report['comfyui_version']}, {report['method']}, preset {report['preset']}",
        f"cache memory:       {report['cache_bytes'] / 1024:,.0f} KiB",
        f"a reused step cost: {cost}",
    ]
