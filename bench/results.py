"""The file of results: what was measured, where and how."""

from __future__ import annotations

import json
import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from cache_core.version import VERSION
from devtools.errors import DevError

from .commit import commit
from .prompts import CALIBRATION, SETS
from .scenario import SCHEDULER, SHIFT
from .selection import Selection
from .statistics import CONFIDENCE, RESAMPLES, SEED

Json = dict[str, Any]
FORMAT = 1
FILE = "quality.json"


def empty(prompt_set: str, count: int, quick: bool) -> Json:
    """Results of no scenario yet."""
    return {
        "format": FORMAT,
        "date": today(),
        "machine": machine(),
        "versions": versions(),
        "settings": settings(prompt_set, count, quick),
        "scenarios": {},
    }


def settings(prompt_set: str, count: int, quick: bool) -> Json:
    """What every scenario has in common."""
    return {
        "quick": quick,
        "prompt_set": prompt_set,
        "prompts": [list(prompt) for prompt in SETS[prompt_set][:count]],
        "calibration_prompt": list(CALIBRATION),
        "scheduler": SCHEDULER,
        "shift": SHIFT,
        "threads": 1,
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED, "confidence": CONFIDENCE},
    }


def machine() -> Json:
    """Where this runs."""
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.system()}


def cpu_name() -> str:
    """The processor as it calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def versions() -> dict[str, str]:
    """What runs."""
    host = os.environ.get("WAN_STEP_CACHE_HOST_VERSION") or host_version()
    python, torch = platform.python_version(), metadata.version("torch")
    return {"pack": VERSION, "comfyui": host, "torch": torch, "python": python}


def host_version() -> str:
    """The host's version as its own file says it."""
    path = Path(os.environ["WAN_STEP_CACHE_HOST"]) / "comfyui_version.py"
    return path.read_text(encoding="utf-8").split('"')[-2]


def today() -> str:
    """The date as year-month-day."""
    return time.strftime("%Y-%m-%d")


def read(path: Path) -> Json:
    """A file of results; DevError where there is none."""
    try:
        found: Json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DevError(f"{path} cannot be read ({error}): run the benchmark first.") from None
    return found


def merging(path: Path, new: Json, what: str) -> Json:
    """With ``what`` the file holds, to be added to; DevError if the two are not comparable."""
    if not path.exists():
        return new
    old = read(path)
    for common in ("format", "settings", "versions", "machine"):
        if old.get(common) != new[common]:
            raise DevError(
                f"{path} holds results with other {common}: measure all {what} again, or give "
                "another --out."
            )
    return {**new, what: old[what]}


def joined(old: Json | None, measured: Json, selection: Selection) -> Json:
    """A scenario's results, its rows outside of the selection as they were, in their old order.

    Rows of the same model and machine may come from several runs: each is compared with uncached
    renders of its own run. again: when rows were last measured anew, and with which commit.
    """
    when = {"date": today(), "commit": commit()}
    if selection.everything or not old:
        return {**measured, **when}
    new = {named(row): row for row in measured["rows"]}
    kept = [
        new.pop(named(row), row)
        for row in old["rows"]
        if named(row) in new or not selection.holds(*named(row)[:-1])
    ]
    return {**old, "rows": [*kept, *new.values()], "again": when}


def named(row: Json) -> tuple[str, str, str, str]:
    """What tells a row from the others of its scenario."""
    return row["method"], row["kind"], row["forecast"], row["knob"]


def write(path: Path, results: Json) -> None:
    """The file as a whole, or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
