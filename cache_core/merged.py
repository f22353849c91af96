"""Several samplings told as one: both experts of a pair, or a schedule in parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .report import MIB, counts_text, failsafe_text, reuse_text, speed_text
from .schedule import Schedule
from .trace import MethodInForce, Trace


@dataclass(frozen=True)
class Totals:
    """What several samplings did together.

    branches: computed and reused evaluations. cost: of all these, a computed one costing 1.
    seconds: that they took. saved: that they would have taken more. peak_bytes: the most that was
    held at a time; one sampling lets go of its cache before the next begins.
    """

    branches: dict[str, dict[str, int]]
    cost: float
    seconds: float
    saved: float
    peak_bytes: int
    failsafes: dict[str, int]

    @property
    def speedup(self) -> float:
        """Estimated: evaluations over what they cost."""
        evaluations = sum(sum(row.values()) for row in self.branches.values())
        return evaluations / self.cost if self.cost else 1.0


def merged(summaries: Sequence[Mapping[str, Any]]) -> Totals:
    """Totals of samplings, each given by its trace's ``summary()``, as it is in JSON files."""
    branches: dict[str, dict[str, int]] = {}
    for summary in summaries:
        for branch, row in summary["branches"].items():
            branches[branch] = _sum(branches.get(branch, {}), row)
    failsafes: dict[str, int] = {}
    for summary in summaries:
        failsafes = _sum(failsafes, summary["failsafes"])
    return Totals(
        branches=dict(sorted(branches.items())),
        cost=sum(summary["estimated_cost"] for summary in summaries),
        seconds=sum(summary["seconds"] for summary in summaries),
        saved=sum(summary["estimated_seconds_saved"] for summary in summaries),
        peak_bytes=max((summary["peak_cache_bytes"] for summary in summaries), default=0),
        failsafes=dict(sorted(failsafes.items())),
    )


def whole(totals: Totals, experts: int, samplings: int) -> list[str]:
    """Phrases that tell of all samplings of a prompt together, for logs and nodes."""
    speed = speed_text(totals.speedup, totals.saved, totals.seconds)
    whose = f"{heading(experts, samplings)}: " if samplings > 1 else ""
    return [
        f"{whose}{counts_text(totals.branches)}",
        f"{speed}, cache at most {totals.peak_bytes / MIB:.1f} MiB",
        failsafe_text(totals.failsafes),
    ]


def heading(experts: int, samplings: int) -> str:
    """Whose samplings they are: 'both experts', or however many."""
    if experts == 2:
        return "both experts" if samplings == 2 else f"both experts, {samplings} samplings"
    return f"{samplings} samplings" if experts == 1 else f"{experts} models, {samplings} samplings"


def part_text(method: MethodInForce, trace: Trace, schedule: Schedule) -> str:
    """A few lines on one of several samplings, for the face of a node."""
    first, last = schedule.sigmas[0], schedule.sigmas[-1]
    lines = [
        f"sigma {first:.3f} to {last:.3f}: {reuse_text(trace)}, about {trace.speedup():.2f}x",
        f"{method.preset}: {method.numbers}",
        trace.model,
        "; ".join([*trace.notes, *method.notes]),
    ]
    return "\n".join(line for line in lines if line)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
