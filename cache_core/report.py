"""A trace in words."""

from __future__ import annotations

from .config import CacheConfig, Method
from .trace import Record, Trace

MIB = 1024 * 1024


def summary_line(config: CacheConfig, trace: Trace) -> str:
    """One line for the log: what ran, with which numbers, what it saved, what went wrong."""
    methods = " + ".join(
        f"{method.policy.name} {method.preset} ({method.policy.describe()}; {method.source})"
        for method in config.methods
    )
    return " | ".join([config.model, methods, reuse_text(trace), saving(trace), trouble(trace)])


def node_text(method: Method, trace: Trace) -> str:
    """A few lines for the face of a node."""
    numbers = f"{method.preset}: {method.policy.describe()}"
    return "\n".join([reuse_text(trace), saving(trace), numbers, trouble(trace)])


def record_line(record: Record, steps: int) -> str:
    """One branch of one evaluation, for the debug log."""
    metric = "" if record.metric is None else f", metric {record.metric:.4f}"
    where = f"step {record.step + 1}/{steps}, sigma {record.sigma:.4f}, {record.branch}"
    return f"{where}: {record.action.value} ({record.reason.value}{metric}, {record.seconds:.3f} s)"


def reuse_text(trace: Trace) -> str:
    """How many evaluations of each branch were reused."""
    rows = [
        f"{branch} {row['reused']} of {row['reused'] + row['computed']} reused"
        for branch, row in trace.counts().items()
    ]
    return ", ".join(rows) or "the model was not called (compiled as a whole?): nothing cached"


def saving(trace: Trace) -> str:
    """Estimated speed-up, seconds and memory."""
    saved = trace.summary()["estimated_seconds_saved"]
    speed = f"about {trace.speedup():.2f}x, {saved:.1f} s saved of {trace.seconds + saved:.1f} s"
    return f"{speed}, cache {trace.peak_bytes / MIB:.1f} MiB"


def trouble(trace: Trace) -> str:
    """Failsafes that fired, by reason."""
    counts = ", ".join(f"{reason} {count}" for reason, count in trace.failsafes().items())
    return f"failsafes: {counts or 'none'}"
