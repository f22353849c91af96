"""A trace in words."""

from __future__ import annotations

from collections.abc import Mapping

from .trace import MethodInForce, Record, Trace

MIB = 1024 * 1024


def summary_line(trace: Trace) -> str:
    """One line for the log: what ran, with which numbers, what it saved, what went wrong."""
    methods = " + ".join(
        f"{method.method} {method.preset} ({method.numbers}; {method.source})"
        for method in trace.methods
    )
    told = [reuse_text(trace), saving(trace), metric_text(trace), trouble(trace)]
    parts = [trace.model, methods, *told, assumptions(trace)]
    return " | ".join(part for part in parts if part)


def plan_line(trace: Trace) -> str:
    """One line for the log before the first step: what the static methods will do."""
    plans = " + ".join(
        f"{method.method} {method.preset} {plan_text(method.plan, trace.steps)}"
        for method in trace.methods
        if method.plan is not None
    )
    told = [trace.model, plans, costs_text(trace), *trace.notes]
    return " | ".join(part for part in told if part)


def costs_text(trace: Trace) -> str:
    """What is going to be kept, and what it would be at the other level; empty if unknown."""
    if not any(trace.costs.values()):
        return ""
    own = f"keeps {trace.costs[trace.level] / MIB:.1f} MiB"
    others = [
        f"{level} level: {size / MIB:.1f} MiB"
        for level, size in trace.costs.items()
        if level != trace.level
    ]
    return f"{own} at {trace.level} level ({', '.join(others)})"


def plan_text(plan: str, steps: int) -> str:
    """A plan in words: how much it computes, and which steps, counted from 1.

    Evaluations, where the sampler is known to make more of them than ``steps``.
    """
    computed = [number for number, letter in enumerate(plan, 1) if letter == "C"]
    what = "steps" if len(plan) == steps else f"evaluations in {steps} steps"
    return f"computes {len(computed)} of {len(plan)} {what}: {ranges(computed)}"


def ranges(numbers: list[int]) -> str:
    """Ascending whole numbers, neighbours joined: 1-3, 7, 9-10."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)


def assumptions(trace: Trace) -> str:
    """What was assumed, and what else the user should know; empty when there is nothing."""
    notes = dict.fromkeys([*trace.notes, *(n for m in trace.methods for n in m.notes)])
    return "; ".join(notes)


def node_text(method: MethodInForce, trace: Trace) -> str:
    """A few lines for the face of a node."""
    numbers = f"{method.preset}: {method.numbers}"
    notes = "; ".join([*trace.notes, *method.notes])
    lines = [reuse_text(trace), saving(trace), numbers, trace.model, trouble(trace), notes]
    return "\n".join(line for line in lines if line)


def record_line(record: Record, steps: int) -> str:
    """One branch of one evaluation, for the debug log."""
    metric = "" if record.metric is None else f", metric {record.metric:.4f}"
    where = f"step {record.step + 1}/{steps}, sigma {record.sigma:.4f}, {record.branch}"
    return f"{where}: {record.action.value} ({record.reason.value}{metric}, {record.seconds:.3f} s)"


def reuse_text(trace: Trace) -> str:
    """How many evaluations of each branch were reused."""
    lost = trace.followed and not trace.records
    unexpected = "the model was not called as expected: " if lost else ""
    return unexpected + counts_text(trace.counts())


def counts_text(branches: Mapping[str, Mapping[str, int]]) -> str:
    """Reused evaluations by branch, from computed and reused ones by branch."""
    rows = [
        f"{branch} {row['reused']} of {row['reused'] + row['computed']} reused"
        for branch, row in branches.items()
    ]
    return ", ".join(rows) or "nothing was cached"


def saving(trace: Trace) -> str:
    """Estimated speed-up, seconds and memory, and what reused steps were if not held."""
    saved = trace.seconds * (trace.speedup() - 1)
    speed = speed_text(trace.speedup(), saved, trace.seconds)
    forecast = "" if trace.forecast == "hold" else f", forecast {trace.forecast}"
    kept = f"{trace.peak_bytes / MIB:.1f} MiB{trace.keeping.describe()}"
    return f"{speed}, {trace.level} cache {kept}{forecast}"


def speed_text(speedup: float, saved: float, seconds: float) -> str:
    """Estimated speed-up, and the seconds that were saved of those without the cache."""
    return f"about {speedup:.2f}x, {saved:.1f} s saved of {seconds + saved:.1f} s"


def trouble(trace: Trace) -> str:
    """Failsafes that fired, by reason."""
    return failsafe_text(trace.failsafes())


def failsafe_text(failsafes: Mapping[str, int]) -> str:
    """Failsafes by reason, in words."""
    counts = ", ".join(f"{reason} {count}" for reason, count in failsafes.items())
    return f"failsafes: {counts or 'none'}"


def metric_text(trace: Trace) -> str:
    """What methods compared with their thresholds, in percentiles; empty if nothing was."""
    return shares_text(trace.metrics())


def shares_text(found: Mapping[str, Mapping[str, float]]) -> str:
    """Percentiles of metrics by method, in words."""
    several = len(found) > 1
    return "; ".join(
        f"{name + ' ' if several else ''}metric "
        + ", ".join(f"{_short(share)} {value:.3g}" for share, value in shares.items())
        for name, shares in found.items()
    )


def _short(share: str) -> str:
    return share.upper() if share.startswith("p") else share
