"""Measures every entry of a scenario against its uncached renders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from cache_core.comparison import compare

from .baselines import baselines
from .entry import Entry
from .methods import methods
from .prompts import Prompt
from .scenario import Scenario
from .selection import drawn
from .statistics import bootstrap, mean, median
from .streams import streams
from .workbench import Sampled, Workbench

Json = dict[str, Any]
UNCACHED = Entry("baseline", "uncached", "", lambda stage: stage.model)
QUICK_VALUES = {"pack": 2, "baseline": 1}


def entries(scenario: Scenario, quick: bool) -> list[Entry]:
    """What is measured in a scenario; `quick`: few values of each method, no other forecasts."""
    own = streams(scenario) if scenario.stages > 1 else methods(scenario)
    every = [*own, *baselines(scenario)]
    return few_of(every) if quick else every


def few_of(every: Iterable[Entry]) -> list[Entry]:
    """The last values of each sweep, which are the cheapest to render."""
    groups: dict[str, list[Entry]] = {}
    for entry in every:
        if drawn(entry.kind, entry.forecast):
            groups.setdefault(entry.method, []).append(entry)
    return [e for group in groups.values() for e in group[-QUICK_VALUES[group[0].family] :]]


def measure(
    bench: Workbench,
    scenario: Scenario,
    prompts: Sequence[Prompt],
    wanted: Sequence[Entry],
    tell: Callable[[str], None],
) -> Json:
    """The whole scenario: its uncached renders, and a row for each entry."""
    references = sampled(bench, scenario, prompts, UNCACHED)
    seconds = sum(one.seconds for one in references)
    tell(f"{len(prompts)} uncached renders, {seconds:.1f} s")
    rows = []
    for number, entry in enumerate(wanted, 1):
        rows.append(row_of(entry, references, sampled(bench, scenario, prompts, entry)))
        tell(f"{number} of {len(wanted)}: {told(rows[-1])}")
    return {
        "steps": scenario.steps,
        "sampler": scenario.sampler,
        "cfg": scenario.cfg,
        "wan": scenario.wan,
        "uncached": {
            "seconds": round(seconds, 3),
            "cpu_seconds": round(sum(one.cpu_seconds for one in references), 3),
        },
        "rows": rows,
    }


def sampled(
    bench: Workbench, scenario: Scenario, prompts: Sequence[Prompt], entry: Entry
) -> list[Sampled]:
    """A clip of every prompt."""
    models = [entry.patch(stage) for stage in bench.of(scenario)]
    steps = entry.steps or scenario.steps
    return [bench.sample(models, replace(scenario, steps=steps), prompt) for prompt in prompts]


def row_of(entry: Entry, references: Sequence[Sampled], runs: Sequence[Sampled]) -> Json:
    """What there is to say of an entry; costs are shares of the uncached renders."""
    pairs = list(zip(references, runs, strict=True))
    shares = [run.computed / before.computed for before, run in pairs]
    found = [compare(before.frames, run.frames) for before, run in pairs]
    cpu = sum(run.cpu_seconds for run in runs)
    traces = [trace for run in runs for trace in run.traces]
    return {
        "family": entry.family,
        "method": entry.method,
        "kind": entry.kind,
        "forecast": entry.forecast,
        "knob": entry.knob,
        "computed_share": round(mean(shares), 4),
        "psnr": spread([one.psnr for one in found], 3),
        "ssim": spread([one.ssim for one in found], 5),
        "seconds": round(sum(run.seconds for run in runs), 3),
        "cpu_seconds": round(cpu, 3),
        "measured_time_ratio": round(cpu / sum(one.cpu_seconds for one in references), 4),
        "peak_cache_bytes": max((trace.peak_bytes for trace in traces), default=None),
        "in_force": in_force(traces),
        "failsafes": dict(sum((Counter(t.failsafes()) for t in traces), Counter())),
        "computed": [run.computed for run in runs],
    }


def in_force(traces: Sequence[Any]) -> str | None:
    """The numbers and the forecast as the pack names them, None without it."""
    if not traces:
        return None
    return f"{traces[0].methods[0].numbers}; {traces[0].forecast}"


def spread(values: Sequence[float], digits: int) -> Json:
    """A quality over the prompts: its mean with an interval, median, worst, and every one."""
    low, high = bootstrap(values)
    return {
        "mean": round(mean(values), digits),
        "interval": [round(low, digits), round(high, digits)],
        "median": round(median(values), digits),
        "worst": round(min(values), digits),
        "prompts": [round(value, digits) for value in values],
    }


def told(row: Json) -> str:
    """A row in a line of progress."""
    name = " ".join(word for word in (row["method"], row["forecast"], row["knob"]) if word)
    quality = row["psnr"]
    numbers = f"{quality['mean']:5.1f} dB mean, {quality['worst']:5.1f} worst"
    trouble = f"  failsafes: {row['failsafes']}" if row["failsafes"] else ""
    return f"{name:<44} {row['computed_share']:.2f} computed, {numbers}{trouble}"
