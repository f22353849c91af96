"""What happened in a run: the one source of every log line, report and test."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from itertools import takewhile
from math import isfinite
from typing import Any

from .averages import mean_series, metrics_by_method, seconds_by_action
from .decision import FAILSAFES, Action, Decision, Reason
from .keeping import PLAIN, Keeping
from .schedule import Position

log = logging.getLogger(__name__)
FORMAT_VERSION = 1
OUT_OF_MEMORY = (
    "out of memory while keeping values: the cache was dropped, and everything after is computed; "
    "set cache_device to cpu or cache_dtype to fp8, or cache_level to output"
)


@dataclass(frozen=True)
class Record:
    """One branch of one evaluation.

    metric: relative change that was compared with a threshold, None where nothing was compared.
    method: who decided to reuse, None for a computed branch.
    seconds: its share of the model call's time on the host's clock; a GPU may still be at work.
    mixed: how many kept values a reused one was made of, 0 for a computed branch.
    """

    evaluation: int
    step: int
    sigma: float
    branch: str
    action: Action
    reason: Reason
    method: str | None
    metric: float | None
    seconds: float
    mixed: int = 0


def record_of(
    position: Position, branch: str, decision: Decision, seconds: float, mixed: int = 0
) -> Record:
    """What was decided for a branch at a position, and its share of the time it took."""
    return Record(
        evaluation=position.evaluation,
        step=position.step,
        sigma=position.sigma,
        branch=branch,
        action=decision.action,
        reason=decision.reason,
        method=decision.method,
        metric=decision.metric,
        seconds=seconds,
        mixed=mixed,
    )


@dataclass(frozen=True)
class MethodInForce:
    """What a run did with one applied method: the numbers it used, and where they came from.

    numbers: policy and guards in words; settings: the policy's fields by name; node: the graph
    node that shows this method's results, None outside a graph. plan: of a static method, C
    (computed) or R (reused) for every evaluation, None before it is known. plan_by_step: the same
    for every step. notes: what was assumed.
    """

    method: str
    preset: str
    numbers: str
    source: str
    settings: dict[str, Any]
    node: str | None
    plan: str | None = None
    plan_by_step: str | None = None
    notes: tuple[str, ...] = ()


@dataclass
class Trace:
    """The records of a run and its totals.

    model: the recognised model. level: what was cached, ``output`` or ``hidden``. forecast: what a
    reused value was. keeping: where values were kept, and as what.
    followed: False where the model is called in a way that leaves no records.
    probe_share: what a reused evaluation still costs, as a share of a computed one (one block of
    the stack for a method that looks at block 0).
    """

    model: str
    level: str
    methods: list[MethodInForce]
    steps: int
    forecast: str = "hold"
    keeping: Keeping = PLAIN
    followed: bool = True
    probe_share: float = 0.0
    records: list[Record] = field(default_factory=list)
    peak_bytes: int = 0
    errors: int = 0
    notes: list[str] = field(default_factory=list)
    costs: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    started: float | None = None

    def evaluation_begins(self) -> None:
        """Time runs from the first evaluation, so that loading the model does not count."""
        self.started = time.perf_counter() if self.started is None else self.started

    def evaluation_ends(self) -> None:
        """Sampling has lasted until now."""
        assert self.started is not None
        self.seconds = time.perf_counter() - self.started

    def note(self, text: str) -> None:
        """Something the user should know about the whole run, said once."""
        if text not in self.notes:
            self.notes.append(text)

    def warn(self, text: str) -> None:
        """Note something that costs the user what they came for; the log hears of it at once."""
        if text not in self.notes:
            log.warning("Wan Step Cache: %s", text)
            self.note(text)

    def plans(self, which: int, plan: str, by_step: str, notes: tuple[str, ...]) -> None:
        """The plan of the method at this place, and what it had to assume."""
        known = self.methods[which]
        told = (*known.notes, *notes)
        self.methods[which] = replace(known, plan=plan, plan_by_step=by_step, notes=told)

    def add(self, record: Record) -> None:
        """One branch of one evaluation is done."""
        self.records.append(record)

    def latest(self) -> list[Record]:
        """The records of the newest evaluation."""
        newest = self.records[-1].evaluation if self.records else None
        same = takewhile(lambda record: record.evaluation == newest, reversed(self.records))
        return list(same)[::-1]

    def holds(self, nbytes: int) -> None:
        """The cache holds ``nbytes`` now."""
        self.peak_bytes = max(self.peak_bytes, nbytes)

    def failed(self, error: Exception) -> None:
        """Code of the pack failed and its evaluation is computed instead: logged once in full."""
        if not self.errors:
            log.warning("Wan Step Cache: computing after an error of its own", exc_info=error)
        self.errors += 1

    def ran_out_of_memory(self, error: Exception) -> None:
        """There was no room for what the cache keeps: said once, everything after is computed."""
        if OUT_OF_MEMORY not in self.notes:
            log.warning("Wan Step Cache: %s", OUT_OF_MEMORY, exc_info=error)
            self.note(OUT_OF_MEMORY)

    def counts(self) -> dict[str, dict[str, int]]:
        """Computed and reused evaluations by branch."""
        table: dict[str, dict[str, int]] = {}
        for record in self.records:
            row = table.setdefault(record.branch, {"computed": 0, "reused": 0})
            row["reused" if record.action is Action.REUSE else "computed"] += 1
        return dict(sorted(table.items()))

    def failsafes(self) -> dict[str, int]:
        """How often something was not as expected and was computed, by reason."""
        found = Counter(r.reason.value for r in self.records if r.reason in FAILSAFES)
        if self.errors:
            found[Reason.ERROR.value] = self.errors
        return dict(sorted(found.items()))

    def cost(self) -> float:
        """Estimated: what the branches of all evaluations cost, a computed one costing 1."""
        reused = sum(record.action is Action.REUSE for record in self.records)
        probed = reused - sum(record.reason is Reason.GUIDANCE for record in self.records)
        return len(self.records) - reused + probed * self.probe_share

    def speedup(self) -> float:
        """Estimated: evaluations over what they cost."""
        cost = self.cost()
        return len(self.records) / cost if cost else 1.0

    def metrics(self) -> dict[str, dict[str, float]]:
        """Percentiles of what each method compared with its threshold, by method."""
        found = metrics_by_method(self.records, [method.method for method in self.methods])
        return {name: percentiles(sorted(values)) for name, values in found.items()}

    def summary(self) -> dict[str, Any]:
        """Totals as plain numbers and words."""
        known = (r.metric for r in self.records if r.metric is not None)
        metrics = sorted(metric for metric in known if isfinite(metric))
        return {
            "steps": self.steps,
            "evaluations": 1 + max((r.evaluation for r in self.records), default=-1),
            "branches": self.counts(),
            "estimated_cost": round(self.cost(), 3),
            "estimated_speedup": round(self.speedup(), 3),
            "seconds": round(self.seconds, 3),
            "estimated_seconds_saved": round(self.seconds * (self.speedup() - 1), 3),
            "peak_cache_bytes": self.peak_bytes,
            "average_seconds": seconds_by_action(self.records),
            "average_reused_in_a_row": mean_series(self.records),
            "metric": percentiles(metrics),
            "metrics": self.metrics(),
            "failsafes": self.failsafes(),
        }

    def as_json(self) -> dict[str, Any]:
        """The whole trace as plain JSON values."""
        return {
            "version": FORMAT_VERSION,
            "model": self.model,
            "cache_level": self.level,
            "cache_device": self.keeping.device,
            "cache_dtype": self.keeping.dtype,
            "forecast": self.forecast,
            "notes": self.notes,
            "methods": [{**asdict(m), "notes": list(m.notes)} for m in self.methods],
            "summary": self.summary(),
            "records": [plain(asdict(record)) for record in self.records],
        }


def plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields as JSON can hold them: words as text, None for what is not a finite number."""
    words = {k: v.value if isinstance(v, Enum) else v for k, v in fields.items()}
    return {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in words.items()}


def percentiles(ascending: list[float]) -> dict[str, float]:
    """Minimum, quartiles, 95th percentile and maximum, each one of the values."""
    if not ascending:
        return {}
    shares = {"min": 0.0, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}
    last = len(ascending) - 1
    return {name: round(ascending[round(share * last)], 6) for name, share in shares.items()}
