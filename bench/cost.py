"""What the pack itself costs, in time, memory and waiting: `python3 dev.py bench cost`.

Runs inside the environment. Writes cost.json, and from it the page docs/costs.md.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devtools.paths import ROOT
from devtools.progress import say

from . import cost_page, results
from .command import command
from .commit import commit

Json = dict[str, Any]
FILE = "cost.json"
FORMAT = 1
SIZES = ("tiny", "tiny-256", "1.3B", "14B")
"""Names of models: how large each is built, says ``plans``."""


@dataclass(frozen=True)
class Plan:
    """How thoroughly a model is measured. every: all configurations, or the few."""

    shape: Any
    steps: int
    pairs: int
    every: bool


def plans(quick: bool) -> dict[str, Plan]:
    """By size. The large ones get few tokens, 14B few layers too: what a cache takes is the same.

    tiny-256 is the tiny one with a clip of 256 x 256 pixels.
    """
    from .random_wan import TINY, WAN_1_3B, WAN_14B  # noqa: PLC0415  (dev.py reads this file)

    small = {"size": (3, 8, 8), "text": 8, "dtype": "float32"}
    full = {
        "tiny": Plan(TINY, 16, 16, True),
        "tiny-256": Plan(replace(TINY, name="tiny-256", size=(5, 32, 32)), 10, 10, False),
        "1.3B": Plan(replace(WAN_1_3B, **small), 6, 4, False),
        "14B": Plan(replace(WAN_14B, layers=2, **small), 6, 3, False),
    }
    if not quick:
        return full
    tiny = replace(TINY, layers=2, size=(3, 8, 8))
    return {**full, "tiny": Plan(tiny, 6, 1, False)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line, but for what dev.py itself takes."""
    parser.add_argument("--out", type=Path, help="folder for results and page (default: in place)")
    parser.add_argument("--quick", action="store_true", help="the tiny model, briefly")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, help="these again (default: all)")
    parser.add_argument("--page", action="store_true", help="write the page from the results again")


def main(arguments: Sequence[str] | None = None) -> int:
    """The benchmark."""
    parser = argparse.ArgumentParser(prog="dev.py bench cost", description=__doc__)
    add_arguments(parser)
    return command(parser, run, arguments)


def run(options: argparse.Namespace) -> None:
    """Measures each size, writes results and page."""
    folder = options.out.resolve() if options.out else ROOT / "bench" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    path, page = folder / FILE, cost_page.place(options.out)
    if not options.page:
        new = empty(options.quick)
        found = results.merging(path, new, "models") if options.sizes else new
        measured(path, found, options.sizes or (SIZES[:1] if options.quick else SIZES))
    cost_page.write(results.read(path), page)
    say(f"Look at {path} and {page}.")


def measured(path: Path, found: Json, sizes: Sequence[str]) -> None:
    """Every size in turn, in the place of what was found of it; the file is written after each."""
    from .opening import open_host  # noqa: PLC0415  (as above)

    plan = plans(found["settings"]["quick"])
    with tempfile.TemporaryDirectory(prefix="wan-step-cache-bench-") as base:
        open_host(Path(base))
        for size in sizes:
            others = [one for one in found["models"] if one["name"] != size]
            every = [*others, model(size, plan[size])]
            found["models"] = sorted(every, key=lambda one: SIZES.index(one["name"]))
            results.write(path, found)


def empty(quick: bool) -> Json:
    """Results of no model yet."""
    return {
        "format": FORMAT,
        "machine": results.machine(),
        "versions": results.versions(),
        "settings": {"quick": quick, "threads": 1},
        "models": [],
    }


def model(size: str, plan: Plan) -> Json:
    """All rows of one size."""
    from .cost_configurations import FEW, configurations  # noqa: PLC0415  (as above)
    from .cost_rows import Measured  # noqa: PLC0415
    from .opening import part  # noqa: PLC0415
    from .random_wan import build  # noqa: PLC0415

    started = time.monotonic()
    gc.collect()
    built = build(plan.shape)
    bench = Measured(built, part("nodes.host").recognise(built), plan.shape, plan.steps, plan.pairs)
    found: Json = {"name": size, "date": results.today(), "commit": commit()}
    found |= {**plan.shape.described(), "steps": plan.steps}
    found |= {"pairs": plan.pairs, "block_ms": bench.block_ms()}
    found |= {"probe_ms": bench.probe_ms(), "host_ms": bench.host_ms()}
    found["rows"] = []
    for configuration in configurations() if plan.every else FEW:
        found["rows"].append(bench.row(configuration))
        spent = (time.monotonic() - started) / 60
        say(f"[{size}] {spent:5.1f} min  {cost_page.told(found, found['rows'][-1])}")
    return found


if __name__ == "__main__":
    sys.exit(main())
