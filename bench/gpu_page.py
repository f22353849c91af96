"""The results of `bench gpu` as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devtools.markdown import table

Json = dict[str, Any]
NOTHING = "-"
OUTSTANDING = """## On a GPU

No figures yet: `python3 dev.py bench gpu` (or `python3 bench/gpu.py --comfyui PATH` with any Python
that has PyTorch for CUDA and what ComfyUI requires) measures them on a machine with an NVIDIA GPU,
with a budget of ten minutes. The script is tested on a CPU at tiny sizes only.
"""
INTRODUCTION = """# What the cache saves on {device}

Written by `bench gpu` on {date}: {device}, CUDA {cuda}, ComfyUI {comfyui}, torch {torch},
Python {python}, Wan Step Cache {pack}, commit {commit}. The host's `WanModel` with random
weights, the host's own sampler (euler, CFG 5), sdpa attention, the dtype named; loading, text and
VAE are not part of any figure.

With random weights no quality can be told. Schedules are those that the pack makes of sigmas and
published curves alone (MagCache, TaylorSeer), or have as many computed steps as published
(*share forced by step_mask*). *Sampled*: whole runs were sampled; *calculated*: from the medians of
timed evaluations and the counts of the schedule. *Expected*: steps over computed steps.
"""
STAND_INS = """Not installed there, and stood in for, since sampling never uses them: {}.
"""
CASES = ("method", "setting", "computed", "s without", "s with", "ratio", "expected",
         "published", "source", "")  # fmt: skip
WAYS = ("method", "level", "kept on", "computed ms", "more than without", "reused ms", "share",
        "peak GiB", "over without MiB")  # fmt: skip


def part(path: Path) -> str:
    """What another page says of a GPU: all of a file of results, or that there are none yet."""
    if not path.exists():
        return OUTSTANDING
    return text(json.loads(path.read_text(encoding="utf-8"))).replace("# What", "## What", 1)


def text(found: Json) -> str:
    """The whole page."""
    facts = {**found["versions"], **found, "commit": found["commit"][:12]}
    parts = [INTRODUCTION.format(**facts)]
    if found["stand_ins"]:
        parts.append(STAND_INS.format(", ".join(found["stand_ins"])))
    for model in found["models"]:
        parts += section(model)
    return "\n".join(parts)


def section(model: Json) -> Iterator[str]:
    """One model at a resolution."""
    yield f"### {model['name']}\n"
    if model["left_out"]:
        yield f"Left out: {model['left_out']}.\n"
        return
    size = f"{model['layers']} layers of dim {model['dim']}, {model['tokens']} tokens"
    yield f"{size}, {model['dtype']}; an evaluation takes {model['plain_ms']:.1f} ms.\n"
    yield table(CASES, (case_cells(case) for case in model["cases"]))
    yield table(WAYS, (way_cells(way, model) for way in model["ways"]))
    yield "".join(overlaps(model))


def case_cells(case: Json) -> Iterator[str]:
    """A row of the table of cases."""
    yield case["method"]
    yield case["setting"]
    yield f"{case['computed']} of {case['steps']}"
    yield f"{case['seconds_without']:.1f}"
    yield f"{case['seconds_with']:.1f}"
    yield f"{case['ratio']:.2f}"
    yield f"{case['expected']:.2f}"
    yield NOTHING if case["published"] is None else f"{case['published']:.2f}"
    yield case["source"] or NOTHING
    yield "sampled" if case["sampled"] else "calculated"


def way_cells(way: Json, model: Json) -> Iterator[str]:
    """A row of the table of evaluations."""
    yield way["method"]
    yield way["level"]
    yield way["cache_device"]
    yield f"{way['computed_ms']:.1f}"
    yield f"{100 * way['overhead']:.2f} %"
    yield f"{way['reused_ms']:.2f}"
    yield f"{100 * way['reused_share']:.2f} %"
    peak, plain = way["peak_bytes"], model["plain_peak_bytes"]
    yield NOTHING if peak is None else f"{peak / 2**30:.1f}"
    yield NOTHING if peak is None else f"{(peak - plain) / 2**20:.0f}"


def overlaps(model: Json) -> Iterator[str]:
    """What keeping values in RAM costs beyond keeping them on the GPU, against bare copies."""
    for level, copies in model["copies"].items():
        found = {
            way["cache_device"]: way
            for way in model["ways"]
            if way["level"] == level and way["method"] == "TaylorSeer"
        }
        if copies is None or set(found) != {"gpu", "cpu"}:
            continue
        more = {n: found["cpu"][n] - found["gpu"][n] for n in ("computed_ms", "reused_ms")}
        yield (
            f"Level {level} in RAM instead of on the GPU: {more['computed_ms']:+.2f} ms for a "
            f"computed evaluation (a bare copy there: {copies['to_ram']:.2f} ms), "
            f"{more['reused_ms']:+.2f} ms for a reused one (a bare copy of one value back: "
            f"{copies['from_ram']:.2f} ms, and a forecast reads two).\n"
        )


def told(way: Json) -> str:
    """A way in a line of progress."""
    name = f"{way['method']} {way['level']} {way['cache_device']}"
    return f"{name:<24} computed {way['computed_ms']:.1f} ms, reused {way['reused_ms']:.2f} ms"


def told_case(case: Json) -> str:
    """A case in a line of progress."""
    name = f"{case['method']}, {case['setting']}"
    return f"{name:<40} {case['ratio']:.2f}x, expected {case['expected']:.2f}x"
