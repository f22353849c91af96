"""Averages over the records of a run, and what its methods measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from math import isfinite
from typing import TYPE_CHECKING, TypeVar

from .decision import FAILSAFES, Action, Reason

if TYPE_CHECKING:
    from .trace import Record

Key = TypeVar("Key", int, str)

FOREIGN = FAILSAFES | {Reason.JOINED}
"""Reasons of computed branches whose metric may be that of any method."""


def seconds_by_action(records: Sequence[Record]) -> dict[str, float | None]:
    """Mean seconds of computed and of reused evaluations, None where there were none.

    An evaluation is reused when all its branches are. Seconds are those of the host's clock: on a
    GPU the host runs ahead, and waits at the next evaluation that reads a value.
    """
    evaluations = _grouped((record.evaluation, record) for record in records)
    sums: dict[str, list[float]] = {"computed": [], "reused": []}
    for branches in evaluations.values():
        kind = "reused" if _all_reused(branches) else "computed"
        sums[kind].append(sum(record.seconds for record in branches))
    return {kind: _mean(values) for kind, values in sums.items()}


def mean_series(records: Sequence[Record]) -> float | None:
    """Mean length of the series of reused evaluations of a branch, None when nothing was reused."""
    lengths = []
    for branch in _grouped((record.branch, record) for record in records).values():
        evaluations = _grouped((record.evaluation, record) for record in branch)
        actions = [_all_reused(evaluations[index]) for index in sorted(evaluations)]
        lengths += [len(list(series)) for reused, series in groupby(actions) if reused]
    return _mean(lengths)


def metrics_by_method(records: Iterable[Record], methods: Sequence[str]) -> dict[str, list[float]]:
    """What was compared with a threshold, by method in order of precedence; whoever compared.

    A reused branch has the metric of the method that decided; a computed one that of the first.
    """
    found: dict[str, list[float]] = {name: [] for name in methods}
    for record in records:
        name = record.method or _first(record, methods)
        if name is not None and record.metric is not None and isfinite(record.metric):
            found.setdefault(name, []).append(record.metric)
    return {name: values for name, values in found.items() if values}


def _first(record: Record, methods: Sequence[str]) -> str | None:
    """The first method, unless the metric of this computed branch may be another's."""
    sure = len(methods) == 1 or (methods and record.reason not in FOREIGN)
    return methods[0] if sure else None


def _grouped(pairs: Iterable[tuple[Key, Record]]) -> dict[Key, list[Record]]:
    groups: dict[Key, list[Record]] = {}
    for key, record in pairs:
        groups.setdefault(key, []).append(record)
    return groups


def _all_reused(records: Iterable[Record]) -> bool:
    return all(record.action is Action.REUSE for record in records)


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
