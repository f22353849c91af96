"""How much quality every method costs, by how much it saves: `python3 dev.py bench quality`.

Runs inside the environment. Writes quality.json, and from it the page and the picture.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devtools.paths import ROOT
from devtools.progress import say

from . import quality_page, results
from .command import command
from .prompts import SETS
from .scenario import MAIN, SCENARIOS, Scenario
from .selection import Selection, require_known

RESULTS = ROOT / "bench" / "results"
QUICK_PROMPTS = 2
JOBS = 2


@dataclass(frozen=True)
class Job:
    """A scenario for a worker; base: where the worker keeps its host's files."""

    scenario: Scenario
    prompt_set: str
    count: int
    quick: bool
    selection: Selection
    base: Path = Path()


def positive(text: str) -> int:
    """A whole number of 1 or more; of anything else argparse says what it must be."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of 1 or more")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line, but for what dev.py itself takes."""
    parser.add_argument("--out", type=Path, help="folder for all results (default: in place)")
    parser.add_argument("--quick", action="store_true", help="a small part, in about a minute")
    parser.add_argument(
        "--scenario", nargs="+", choices=SCENARIOS, metavar="NAME", help=", ".join(SCENARIOS)
    )
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="these methods' rows again")
    parser.add_argument("--picture", action="store_true", help="what the picture shows again")
    parser.add_argument("--resume", action="store_true", help="only scenarios not measured yet")
    parser.add_argument("--prompts", choices=SETS, default="held-out", help="default: held-out")
    parser.add_argument("--limit", type=positive, help="so many prompts only")
    parser.add_argument("--jobs", type=positive, default=JOBS, help=f"processes (default {JOBS})")


def main(arguments: Sequence[str] | None = None) -> int:
    """The benchmark."""
    parser = argparse.ArgumentParser(prog="dev.py bench quality", description=__doc__)
    add_arguments(parser)
    return command(parser, run, arguments)


def run(options: argparse.Namespace) -> None:
    """Measures what is asked for, writes each scenario as it is done, then page and picture."""
    folder = options.out.resolve() if options.out else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / results.FILE
    found = gathered(options, path)
    wanted = scenarios(options, found)
    require_methods(options.only or (), wanted)
    started = time.monotonic()
    for name, measured in run_all(jobs(options, wanted), options.jobs):
        before = found["scenarios"].get(name)
        found["scenarios"][name] = results.joined(before, measured, selected(options))
        results.write(path, found)
        say(f"{name} is done after {(time.monotonic() - started) / 60:.1f} minutes.")
    if MAIN.name in found["scenarios"]:
        pages = quality_page.places(options.out)
        quality_page.write(found, *pages)
        say(f"Look at {path}, {pages[0]} and {pages[1]}.")


def gathered(options: argparse.Namespace, path: Path) -> dict[str, Any]:
    """What the scenarios to come are added to."""
    new = results.empty(options.prompts, prompt_count(options), options.quick)
    part = options.scenario or options.resume or not selected(options).everything
    return results.merging(path, new, "scenarios") if part else new


def selected(options: argparse.Namespace) -> Selection:
    """The rows to measure."""
    return Selection(tuple(options.only or ()), options.picture)


def prompt_count(options: argparse.Namespace) -> int:
    """How many prompts are rendered."""
    most = len(SETS[options.prompts])
    return min(options.limit or most, QUICK_PROMPTS if options.quick else most)


def scenarios(options: argparse.Namespace, found: dict[str, Any]) -> list[Scenario]:
    """Those to measure: the main one, which takes longest, first."""
    least = options.quick or options.picture
    names = options.scenario or ([MAIN.name] if least else list(SCENARIOS))
    wanted = [SCENARIOS[name] for name in dict.fromkeys(names)]
    if options.resume:
        wanted = [scenario for scenario in wanted if scenario.name not in found["scenarios"]]
    return sorted(wanted, key=lambda scenario: (scenario != MAIN, -scenario.work))


def require_methods(named: Sequence[str], wanted: Sequence[Scenario]) -> None:
    """DevError where a method is named that none of these scenarios has."""
    if named:
        from .measure import entries  # noqa: PLC0415  (dev.py reads this file without torch)

        of_each = (entries(scenario, False) for scenario in wanted or SCENARIOS.values())
        require_known("--only", named, (entry.method for every in of_each for entry in every))


def jobs(options: argparse.Namespace, wanted: Sequence[Scenario]) -> list[Job]:
    """One for each scenario."""
    count = prompt_count(options)
    selection = selected(options)
    return [Job(s, options.prompts, count, options.quick, selection) for s in wanted]


def run_all(todo: Sequence[Job], processes: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and results of the scenarios, each when it is done."""
    if not todo:
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="wan-step-cache-bench-") as base:
        placed = [replace(job, base=Path(base)) for job in todo]
        if processes == 1 or len(todo) == 1:
            yield from map(work, placed)
            return
        with context.Pool(min(processes, len(todo)), initializer=leave_interrupts) as pool:
            yield from pool.imap_unordered(work, placed, chunksize=1)
            pool.close()
            pool.join()


def leave_interrupts() -> None:
    """A worker ends when its parent ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def work(job: Job) -> tuple[str, dict[str, Any]]:
    """One scenario, in a worker."""
    from .measure import entries, measure  # noqa: PLC0415  (dev.py reads this file without torch)

    def tell(text: str) -> None:
        say(f"[{job.scenario.name}] {text}")

    prompts = SETS[job.prompt_set][: job.count]
    wanted = [
        entry
        for entry in entries(job.scenario, job.quick)
        if job.selection.holds(entry.method, entry.kind, entry.forecast)
    ]
    return job.scenario.name, measure(workbench(job.base), job.scenario, prompts, wanted, tell)


@functools.cache
def workbench(base: Path) -> Any:
    """The worker's ComfyUI and model, for all its scenarios."""
    from .workbench import open_workbench  # noqa: PLC0415  (as above)

    folder = base / str(os.getpid())
    folder.mkdir()
    return open_workbench(folder)


if __name__ == "__main__":
    sys.exit(main())
