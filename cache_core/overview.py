"""What the samplings behind a latent did: in words, and as one piece of JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .decision import Action
from .merged import Totals, merged, whole
from .report import MIB, counts_text, failsafe_text, shares_text, speed_text

Json = dict[str, Any]
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Overview:
    """Samplings that have ended, each as its trace is in JSON (``Trace.as_json``).

    schedules: the parts of each schedule in order, both experts of a pair being two parts of one.
    note: what to say before anything else, such as why there are none; empty for nothing.
    """

    schedules: tuple[tuple[Json, ...], ...] = ()
    experts: int = 1
    note: str = ""

    @property
    def runs(self) -> list[Json]:
        """Every sampling once; one may be part of several schedules."""
        every = {id(run): run for schedule in self.schedules for run in schedule}
        return list(every.values())

    @property
    def totals(self) -> Totals:
        """What they did together."""
        return merged([run["summary"] for run in self.runs])

    @property
    def lines(self) -> list[str]:
        """What they did together and each for itself, in a few lines."""
        runs = self.runs
        together = whole(self.totals, self.experts, len(runs)) if runs else []
        each = [line for run in runs for line in ("", *lines_of(run))]
        return [*([self.note] if self.note else []), *together, *each]

    def as_json(self) -> Json:
        """Everything as plain JSON values."""
        totals = self.totals
        return {
            "version": FORMAT_VERSION,
            "note": self.note,
            "together": {
                "samplings": len(self.runs),
                "branches": totals.branches,
                "estimated_speedup": round(totals.speedup, 3),
                "seconds": round(totals.seconds, 3),
                "estimated_seconds_saved": round(totals.saved, 3),
                "peak_cache_bytes": totals.peak_bytes,
                "failsafes": totals.failsafes,
            },
            "schedules": [list(schedule) for schedule in self.schedules],
        }


def lines_of(run: Json) -> list[str]:
    """One sampling in a few lines: model, numbers in force, what was reused and why not more."""
    summary = run["summary"]
    saved, speedup = summary["estimated_seconds_saved"], summary["estimated_speedup"]
    kept = f"{run['cache_level']} cache {summary['peak_cache_bytes'] / MIB:.1f} MiB"
    lines = [
        run["model"],
        *methods_in_force(run),
        counts_text(summary["branches"]),
        f"{speed_text(speedup, saved, summary['seconds'])}, {kept}, forecast {run['forecast']}",
        shares_text(summary["metrics"]),
        why_computed(run["records"]),
        failsafe_text(summary["failsafes"]),
        "; ".join(dict.fromkeys([*run["notes"], *(n for m in run["methods"] for n in m["notes"])])),
    ]
    return [line for line in lines if line]


def methods_in_force(run: Json) -> list[str]:
    """Each method with its numbers and where they came from."""
    return [f"{m['method']} {m['preset']}: {m['numbers']} ({m['source']})" for m in run["methods"]]


def why_computed(records: Sequence[Json]) -> str:
    """Why branches were computed, the most frequent reason first; empty if none was."""
    computed = [record for record in records if record["action"] == Action.COMPUTE.value]
    counts = Counter(record["reason"] for record in computed).most_common()
    told = ", ".join(f"{reason} {count}" for reason, count in counts)
    return f"computed {len(computed)} of {len(records)}: {told}" if told else ""
