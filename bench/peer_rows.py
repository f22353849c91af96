"""What one method of `bench peers` costs at each of its settings, and what quality it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cache_core.comparison import compare
from cache_core.errors import StepCacheError

from .measure import spread
from .peer_checks import checks
from .peer_packs import Inputs, Method
from .peer_server import Render, RenderFailed
from .peer_yard import Yard
from .statistics import mean, median

Json = dict[str, Any]
MEBIBYTE = 2**20


def uncached(yard: Yard) -> Json:
    """What the references took, as medians."""
    found = yard.references
    memory = [r.peak_rss for r in found if r.peak_rss is not None]
    return {
        "seconds": round(median([r.seconds for r in found]), 4),
        "cpu_seconds": round(median([r.cpu_seconds for r in found]), 4),
        "peak_rss_mib": round(median(memory) / MEBIBYTE, 1) if memory else None,
    }


def measured(yard: Yard, method: Method) -> Json:
    """Rows and checks of a method."""
    rows = [row(yard, method, inputs) for inputs in method.settings[: yard.size.settings]]
    return {
        "method": method.name,
        "node": method.node,
        "before": list(method.before),
        "fixed": method.fixed,
        "never": method.never,
        "rows": rows,
        "checks": checks(yard, method, least(rows)),
    }


def least(rows: Sequence[Json]) -> Inputs:
    """The settings that compute least, or the first where none runs."""
    ran = [row for row in rows if "error" not in row] or rows[:1]
    cheapest: Inputs = min(ran, key=lambda row: row.get("computed_share", 0))["settings"]
    return cheapest


def row(yard: Yard, method: Method, inputs: Inputs) -> Json:
    """One setting: costs beside uncached renders, taken in turn; or the error."""
    try:
        return {"settings": inputs, **_costs(yard, pairs(yard, method, inputs))}
    except (RenderFailed, StepCacheError) as error:
        return {"settings": inputs, "error": str(error)}


def pairs(yard: Yard, method: Method, inputs: Inputs) -> list[tuple[Render, Render]]:
    """An uncached render and one with the method of every prompt, each on a model of its own."""
    chain = yard.chain(method, inputs)
    steps, render = yard.size.steps, yard.rig.render
    plain, patched = yard.copy(), yard.copy()
    return [
        (render(prompt, steps, (), plain), render(prompt, steps, chain, patched))
        for prompt in yard.size.prompts
    ]


def _costs(yard: Yard, found: Sequence[tuple[Render, Render]]) -> Json:
    """Quality is measured against the references, which nothing can have spoilt."""
    alike = [compare(r.frames, run.frames) for r, (_, run) in _beside(yard, found)]
    memory = [run.peak_rss - before.peak_rss for before, run in found if run.peak_rss is not None]
    return {
        "computed_share": round(mean([run.computed for _, run in found]) / yard.size.steps, 4),
        "computed": [run.computed for _, run in found],
        "time_ratio": round(median([run.seconds / one.seconds for one, run in found]), 4),
        "cpu_ratio": round(median([run.cpu_seconds / one.cpu_seconds for one, run in found]), 4),
        "extra_peak_rss_mib": round(median(memory) / MEBIBYTE, 1) if memory else None,
        "psnr": spread([one.psnr for one in alike], 3),
        "ssim": spread([one.ssim for one in alike], 5),
        "uncached_unchanged": all(r.digest == one.digest for r, (one, _) in _beside(yard, found)),
    }


def _beside(yard: Yard, found: Sequence[tuple[Render, Render]]) -> Any:
    return zip(yard.references, found, strict=True)
