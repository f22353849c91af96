"""A run as it stands, in plain numbers and words, for whoever draws it."""

from __future__ import annotations

from typing import Any

from .cells import cells, metrics, remaining
from .report import node_text
from .trace import MethodInForce, Trace


def snapshot(trace: Trace, method: MethodInForce, done: bool) -> dict[str, Any]:
    """All that the timeline of one node shows of a run: each one holds everything so far.

    row, why, metric: see ``cells.py``. plan: C or R for every step, None if nobody knows it
    beforehand. threshold: of the metric, None where the method has none. elapsed, remaining,
    saved: seconds; saved is estimated. text: what the node says when the run is over.
    """
    threshold = method.settings.get("threshold")
    return {
        "method": method.method,
        "model": trace.model,
        "preset": method.preset,
        "numbers": method.numbers,
        "steps": trace.steps,
        "plan": method.plan_by_step,
        "branches": cells(trace.records, trace.steps),
        "metric": metrics(trace.records, trace.steps, method.method),
        "threshold": threshold if isinstance(threshold, (int, float)) else None,
        "elapsed": round(trace.seconds, 3),
        "remaining": 0.0 if done else round(left(trace, method), 2),
        "saved": round(trace.seconds * (trace.speedup() - 1), 3),
        "speedup": round(trace.speedup(), 3),
        "bytes": trace.peak_bytes,
        "failsafes": trace.failsafes(),
        "text": node_text(method, trace) if done else "",
        "done": done,
    }


def left(trace: Trace, method: MethodInForce) -> float:
    """Seconds that the rest of the steps will take, if it goes on as it went so far.

    A GPU is handed its work long before it has done it, and records know the former: how long it
    takes follows from how long all of it has taken.
    """
    told = sum(record.seconds for record in trace.records)
    pace = trace.seconds / told if told else 1.0
    return pace * remaining(trace.records, trace.steps, method.plan_by_step)
