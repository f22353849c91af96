"""Writes docs/compatibility.md from what the tests of the full matrix tell about themselves."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .junit import failed
from .markdown import table
from .paths import ROOT

PAGE = ROOT / "docs" / "compatibility.md"
FEW = 8
"""What less than one row in so many tells is no column of a table."""
MORE, NOTHING = "more", "-"
PROPERTY = "compatibility"
"""The property of a test that holds a table, a row and its cells, as JSON."""

INTRODUCTION = """# Compatibility

Written by `python3 dev.py matrix` from the results of tests on real ComfyUI servers and samplers,
with tiny models of the host's own classes: versions {versions}. The last
column says on which of them a row holds; others lack the class or node, or were not asked.
{failures}

*exact*: a cache that never reuses gives the very bits of ComfyUI without the pack, and a value that
is reused at the point where it was computed is the computed one: to the bit at cache level
`output`, to the rounding of one addition at level `hidden`.
"""
TITLES = {
    "Wan classes": "Every class of Wan that ComfyUI has, with inputs of its own kind.",
    "Samplers": "Evaluations of the model in one step, and what of them is reused.",
    "Schedulers": "",
    "Ways to sample": "",
    "Neighbours": "Other nodes and packs on the same model or conditioning. *result*: that of "
    "a cache that never reuses, against ComfyUI without the pack. *reuse*: whether steps are then "
    "reused, with the right values. *cfg cache*: whether CFG Cache leaves the negative prompt out.",
    "Official templates": "ComfyUI's own Wan workflows with an Apply node behind every model "
    "loader, or one for both experts: accepted by its validation, and rendered at 64 by 64 pixels, "
    "9 frames and 20 steps with tiny stand-ins for the models. Steps are those of all samplers "
    "together, and at CFG Cache those of the negative prompt.",
}
"""Tables in order, and what to say of each."""


@dataclass
class Row:
    """One row of a table: its cells, and on which hosts its tests passed or failed."""

    cells: dict[str, str] = field(default_factory=dict)
    passed: dict[str, bool] = field(default_factory=dict)

    def tell(self, version: str, cells: Mapping[str, str], passed: bool) -> None:
        """A test of this row ran on a host; what later hosts say of a cell counts."""
        self.passed[version] = passed and self.passed.get(version, True)
        self.cells.update(cells if passed else dict.fromkeys(cells, "fails"))

    def hosts(self, versions: Sequence[str]) -> str:
        """Where it holds."""
        good = [version for version in versions if self.passed.get(version)]
        bad = [version for version in versions if not self.passed.get(version, True)]
        told = "all" if good == list(versions) else ", ".join(good) or "none"
        return f"{told}; fails on {', '.join(bad)}" if bad else told


Tables = dict[str, dict[str, Row]]


def gathered(results: Mapping[str, Path]) -> Tables:
    """The tables of all hosts' results, oldest host first; files are pytest's JUnit XML."""
    tables: Tables = {title: {} for title in TITLES}
    for version, path in results.items():
        for title, name, cells, passed in told(path):
            tables[title].setdefault(name, Row()).tell(version, cells, passed)
    return tables


def told(path: Path) -> Iterator[tuple[str, str, dict[str, str], bool]]:
    """What the tests of one host told, and whether they passed; skipped ones tell nothing."""
    for case in ET.parse(path).iter("testcase"):
        if case.find("skipped") is not None:
            continue
        passed = case.find("failure") is None and case.find("error") is None
        for entry in case.iter("property"):
            if entry.get("name") == PROPERTY:
                title, name, cells = json.loads(entry.get("value", ""))
                yield title, name, cells, passed


def failures(results: Mapping[str, Path]) -> str:
    """Which tests failed on which host."""
    lines = [f"- {host}: `{name}`" for host, path in results.items() for name in failed(path)]
    return "\n".join(["\nTests that failed:\n", *lines]) if lines else "No test failed."


def page(results: Mapping[str, Path]) -> str:
    """The whole page."""
    versions = list(results)
    parts = [INTRODUCTION.format(versions=", ".join(versions), failures=failures(results))]
    for title, rows in gathered(results).items():
        if rows:
            parts += [f"## {title}\n", *filter(None, [TITLES[title] and f"{TITLES[title]}\n"])]
            parts.append(_table(title, rows, versions))
    return "\n".join(parts)


def _table(title: str, rows: Mapping[str, Row], versions: Sequence[str]) -> str:
    """What only a few rows tell has no column: it is in the last one, with its name."""
    told = Counter(column for row in rows.values() for column in row.cells)
    columns = [name for name, count in told.items() if count * FEW > len(rows)]
    rest = [MORE] if len(columns) < len(told) else []
    head = [title.lower(), *columns, *rest, "ComfyUI"]
    words = [name.replace("_", " ") for name in head]
    return table(words, (_cells(name, row, head, versions) for name, row in rows.items()))


def _cells(name: str, row: Row, head: Sequence[str], versions: Sequence[str]) -> list[str]:
    rare = [f"{column}: {cell}" for column, cell in row.cells.items() if column not in head]
    cells = {**row.cells, MORE: "; ".join(rare) or NOTHING}
    return [name, *(cells.get(column, NOTHING) for column in head[1:-1]), row.hosts(versions)]
