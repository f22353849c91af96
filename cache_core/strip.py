"""The samplings of one schedule on one axis, a column for each evaluation, ready to be drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from .averages import FOREIGN
from .decision import Reason
from .letters import letter_of, most

Json = dict[str, Any]
LIMITS = ("threshold", "interval")
"""Settings of methods that their metric is compared with."""


@dataclass(frozen=True)
class Part:
    """One sampling: the columns from ``start`` to before ``end``; where it starts, in sigma."""

    start: int
    end: int
    sigma: float
    run: Json


@dataclass(frozen=True)
class Point:
    """A metric at a column, and what happened there."""

    column: int
    value: float
    letter: str


@dataclass(frozen=True)
class Limit:
    """What a metric is compared with from column ``start`` to before ``end``."""

    start: int
    end: int
    value: float


@dataclass(frozen=True)
class Curve:
    """The metric of one method.

    lines: points by branch, under one name where all branches share them.
    """

    method: str
    lines: dict[str, list[Point]]
    limits: list[Limit]


@dataclass
class Strip:
    """What to draw of one schedule.

    steps: the step of every column, counted from 0 over all parts; samplers that evaluate a model
    twice a step have two columns for it. cells: letters by branch and column. curves: by method.
    """

    parts: list[Part] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    cells: dict[str, dict[int, str]] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)

    @property
    def columns(self) -> int:
        """How many there are."""
        return len(self.steps)

    @property
    def letters(self) -> set[str]:
        """Those that occur."""
        return {letter for row in self.cells.values() for letter in row.values()}


def strip_of(schedule: Sequence[Json]) -> Strip:
    """The strip of a schedule, given by the traces of its parts as they are in JSON."""
    strip = Strip()
    for run in schedule:
        _append(strip, run)
    strip.cells = dict(sorted(strip.cells.items()))
    strip.curves = curves_of(strip.parts)
    return strip


def _append(strip: Strip, run: Json) -> None:
    """One more part; its steps are counted on, and it may be empty."""
    start, before = strip.columns, sum(part.run["summary"]["steps"] for part in strip.parts)
    steps = {record["evaluation"]: record["step"] for record in run["records"]}
    step = 0
    for evaluation in range(1 + max(steps, default=-1)):
        step = steps.get(evaluation, step)
        strip.steps.append(before + step)
    sigma = run["records"][0]["sigma"] if run["records"] else 0.0
    strip.parts.append(Part(start, strip.columns, sigma, run))
    for branch, records in _grouped(run["records"], "branch"):
        row = strip.cells.setdefault(branch, {})
        for evaluation, same in _grouped(records, "evaluation"):
            row[start + evaluation] = most(_letters(same))


def _letters(records: Iterable[Json]) -> list[str]:
    return [letter_of(record["action"], record["reason"], record["mixed"]) for record in records]


def curves_of(parts: Sequence[Part]) -> list[Curve]:
    """The metrics of all methods that measured any, in order of precedence."""
    found: dict[str, dict[str, list[Point]]] = {}
    for part in parts:
        for branch, records in _grouped(part.run["records"], "branch"):
            for method, point in _points(part, records):
                found.setdefault(method, {}).setdefault(branch, []).append(point)
    limits = {method: [x for part in parts for x in _limits(part, method)] for method in found}
    return [Curve(method, _together(found[method]), limits[method]) for method in found]


def _points(part: Part, records: Iterable[Json]) -> Iterable[tuple[str, Point]]:
    """What was compared at each evaluation of a branch, and by whom; the largest of its windows."""
    for evaluation, same in _grouped(records, "evaluation"):
        known = [record for record in same if record["metric"] is not None]
        if known:
            chosen = max(known, key=lambda record: record["metric"])
            method = _compared_by(part.run, chosen)
            letter = most(_letters(same))
            if method:
                yield method, Point(part.start + evaluation, chosen["metric"], letter)


def _compared_by(run: Json, record: Json) -> str | None:
    """Who decided; of a computed branch the first method, unless it may be another's metric."""
    names: list[str] = [method["method"] for method in run["methods"]]
    decided: str | None = record["method"]
    sure = len(names) == 1 or (names and Reason(record["reason"]) not in FOREIGN)
    return decided or (names[0] if sure else None)


def _limits(part: Part, method: str) -> list[Limit]:
    settings = [m["settings"] for m in part.run["methods"] if m["method"] == method]
    values = [own[name] for own in settings for name in LIMITS if own.get(name) is not None]
    return [Limit(part.start, part.end, value) for value in values[:1]]


def _together(lines: dict[str, list[Point]]) -> dict[str, list[Point]]:
    """One line where the branches share all values."""
    values = {tuple((p.column, p.value) for p in points) for points in lines.values()}
    return {"": next(iter(lines.values()))} if len(values) == 1 else dict(sorted(lines.items()))


def _grouped(records: Iterable[Json], field: str) -> list[tuple[Any, list[Json]]]:
    """Records by a field, in its order."""
    ordered = sorted(records, key=lambda record: record[field])
    return [(key, list(same)) for key, same in groupby(ordered, key=lambda r: r[field])]
