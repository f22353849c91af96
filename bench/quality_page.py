"""Writes docs/benchmarks.md and its picture from the results: `python3 dev.py bench page`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from devtools.errors import DevError
from devtools.markdown import table
from devtools.paths import ROOT
from devtools.progress import say

from . import results
from .curves import HOST, Curve, curves, psnr_at
from .page_texts import COLUMNS, EQUAL_COST, INTRODUCTION, LIMITS, OTHERS, REAL, REPRODUCE
from .scenario import MAIN, SCENARIOS
from .statistics import bootstrap, front, mean, median

Json = dict[str, Any]
SHARES = (0.5, 0.4)
NOTHING = "-"
FULL = (
    "method", "knob", "forecast", "computed", "PSNR mean [95 %]", "median", "worst", "SSIM",
    "measured time", "cache KiB",
)  # fmt: skip


def places(out: Path | None) -> tuple[Path, Path]:
    """The page and the picture, in the documentation or in a folder."""
    if out is None:
        return ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "images" / "quality.png"
    return out.resolve() / "benchmarks.md", out.resolve() / "quality.png"


def write(found: Json, page: Path, picture: Path) -> None:
    """The page and the picture."""
    from .quality_plot import draw  # noqa: PLC0415  (the page alone needs no matplotlib)

    draw(picture, found)
    link = Path(os.path.relpath(picture, page.parent)).as_posix()
    page.write_text(text(found, link), encoding="ascii")


def text(found: Json, picture: str) -> str:
    """The whole page."""
    measured = found["scenarios"]
    rows = measured[MAIN.name]["rows"]
    parts = [INTRODUCTION.format(**facts(found)), f"![{alternative()}]({picture})\n"]
    parts += [EQUAL_COST, equal_cost(rows), COLUMNS, table(FULL, full_rows(rows))]
    others = [name for name in SCENARIOS if name in measured and name != MAIN.name]
    parts += [OTHERS] if others else []
    for name in others:
        parts += [f"### {SCENARIOS[name].title}\n", measured_when(measured[name])]
        parts += [compact(measured[name]["rows"])]
    return "\n".join([*parts, REPRODUCE, REAL, LIMITS])


def measured_when(scenario: Json) -> str:
    """The date and the code of a scenario."""
    return f"Measured on {scenario['date']} at commit {commits(scenario)}.\n"


def alternative() -> str:
    """What the picture shows, in words."""
    return f"Mean PSNR over measured speed-up, {MAIN.title}: one line for each method"


def facts(found: Json) -> dict[str, Any]:
    """What the introduction names."""
    machine, versions, settings = found["machine"], found["versions"], found["settings"]
    return {
        "prompts": len(settings["prompts"]),
        "prompt_set": settings["prompt_set"],
        "shift": settings["shift"],
        "main": MAIN.title,
        "date": found["scenarios"][MAIN.name]["date"],
        "commit": commits(found["scenarios"][MAIN.name]),
        **machine,
        **versions,
    }


def commits(scenario: Json) -> str:
    """Which code the rows of a scenario were measured with."""
    first, last = scenario["commit"], scenario.get("again", scenario)["commit"]
    return first if first == last else f"{first} (some rows later, at {last})"


def equal_cost(rows: Sequence[Json]) -> str:
    """Every method at the same shares, with each forecast, beside the host's EasyCache."""
    head = ["method"]
    for share in SHARES:
        head += [f"at {share:g}: mean / median", "over the host's [95 %]", "hold", "taylor"]
    by_forecast = {name: curves(rows, name) for name in ("auto", "hold", "taylor")}
    return table(head, (_equal(name, by_forecast) for name in ranked(by_forecast["auto"])))


def _equal(name: str, by_forecast: dict[str, dict[str, Curve]]) -> Iterator[str]:
    yield name
    auto = by_forecast["auto"]
    pack = name in by_forecast["hold"] and auto[name][0]["family"] == "pack"
    for share in SHARES:
        yield from compared(auto[name], auto.get(HOST), share)
        for forecast in ("hold", "taylor"):
            found = psnr_at(by_forecast[forecast].get(name), share) if pack else None
            yield f"{mean(found):.1f}" if found else NOTHING


def ranked(found: dict[str, Curve]) -> list[str]:
    """Names, best at half the cost first; those that have no such point last."""
    return sorted(found, key=lambda name: -mean(psnr_at(found[name], SHARES[0]) or [0.0]))


def compared(curve: Curve, host: Curve | None, share: float) -> tuple[str, str]:
    """Mean and median of a curve at a share, and by how much it beats the host's, prompt by prompt.

    The host's own line has nothing to compare with.
    """
    found, other = psnr_at(curve, share), psnr_at(host, share)
    if found is None:
        return NOTHING, NOTHING
    value = f"{mean(found):.1f} / {median(found):.1f}"
    if other is None or curve is host:
        return value, NOTHING
    gains = [a - b for a, b in zip(found, other, strict=True)]
    low, high = bootstrap(gains)
    return value, f"{mean(gains):+.1f} [{low:+.1f}, {high:+.1f}]"


def full_rows(rows: Sequence[Json]) -> Iterator[Iterable[str]]:
    """Every row; in bold those that no other beats at their cost."""
    best = set(front([(row["computed_share"], row["psnr"]["mean"]) for row in rows]))
    for place, row in enumerate(rows):
        cells = full_row(row)
        yield (f"**{cell}**" for cell in cells) if place in best else cells


def full_row(row: Json) -> list[str]:
    """A row's cells."""
    quality, held = row["psnr"], row["peak_cache_bytes"]
    low, high = quality["interval"]
    return [
        row["method"],
        f"preset {row['knob']}" if row["kind"] == "preset" else row["knob"],
        row["forecast"] or NOTHING,
        share_text(row["computed_share"]),
        f"{quality['mean']:.1f} [{low:.1f}, {high:.1f}]",
        f"{quality['median']:.1f}",
        f"{quality['worst']:.1f}",
        f"{row['ssim']['mean']:.4f}",
        f"{row['measured_time_ratio']:.2f}",
        NOTHING if held is None else f"{held / 1024:.0f}",
    ]


def compact(rows: Sequence[Json]) -> str:
    """A line for each method: its points, and what lies between them at the compared shares."""
    found = curves(rows)
    head = ["method", "computed: PSNR mean (worst)"]
    for share in SHARES:
        head += [f"at {share:g}: mean / median", "over the host's [95 %]"]
    return table(head, (_compact(name, found) for name in ranked(found)))


def _compact(name: str, found: dict[str, Curve]) -> Iterator[str]:
    yield name
    yield ", ".join(_point(row) for row in found[name])
    for share in SHARES:
        yield from compared(found[name], found.get(HOST), share)


def _point(row: Json) -> str:
    quality = row["psnr"]
    return f"{share_text(row['computed_share'])}: {quality['mean']:.1f} ({quality['worst']:.1f})"


def share_text(share: float) -> str:
    """With two digits, halves up."""
    return f"{int(share * 100 + 0.5) / 100:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="dev.py bench page", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder with quality.json (default: in place)")
    out = parser.parse_args(arguments).out
    folder = out.resolve() if out else ROOT / "bench" / "results"
    try:
        write(results.read(folder / results.FILE), *places(out))
    except DevError as error:
        say(f"dev.py: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
