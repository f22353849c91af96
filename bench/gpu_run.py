"""Times every model at every resolution, as far as time and memory allow."""

from __future__ import annotations

import gc
import json
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import torch

from devtools.progress import say

from . import gpu_page, results
from .commit import commit
from .gpu_cases import CASES, MODELS, Case, Model
from .gpu_timing import WAYS, Bench, Way, copy_ms
from .opening import part
from .random_wan import LATENTS, TINY, Shape, build
from .selection import require_known
from .statistics import median

Json = dict[str, Any]
FORMAT = 1
FILE = "gpu.json"
QUICK = replace(TINY, layers=2, size=(3, 8, 8))
SURE = 2
"""Ways that are timed even where a model's time is up."""
ROOM = 1.3
"""Memory needed for a model, over that of its weights; activations take the rest."""


@dataclass
class Budget:
    """Seconds on the wall."""

    seconds: float

    def __post_init__(self) -> None:
        self.started = time.monotonic()

    @property
    def left(self) -> float:
        """Until it is spent."""
        return self.started + self.seconds - time.monotonic()


def measure(options: Namespace) -> None:
    """Everything; results and page are written after each model."""
    require_known("--models", options.models or (), (model.name for model in MODELS))
    options.out.mkdir(parents=True, exist_ok=True)
    budget, found = Budget(options.budget), empty(options)
    wanted = [m for m in MODELS if not options.models or m.name in options.models]
    for place, model in enumerate(wanted):
        share = options.time_limit or budget.left / (len(wanted) - place)
        found["models"].append(timed(model, options, Budget(min(share, budget.left))))
        text = json.dumps(found, indent=1)
        (options.out / FILE).write_text(text + "\n", encoding="utf-8")
        (options.out / "gpu.md").write_text(gpu_page.text(found), encoding="ascii")
    say(f"Look at {options.out / FILE} and {options.out / 'gpu.md'}.")


def empty(options: Namespace) -> Json:
    """Results of no model yet."""
    cuda = options.device == "cuda"
    return {
        "format": FORMAT,
        "date": results.today(),
        "commit": commit(),
        "machine": results.machine(),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "cuda": torch.version.cuda,
        "versions": results.versions(),
        "settings": {"quick": options.quick, "budget": options.budget},
        "stand_ins": options.stand_ins or [],
        "models": [],
    }


def timed(model: Model, options: Namespace, budget: Budget) -> Json:
    """One model: what its evaluations take, and what its cases come to."""
    shape = shape_of(model, options.quick)
    found: Json = {"name": model.name, **shape.described(), "ways": [], "cases": [], "left_out": ""}
    found["left_out"] = why_not(shape, options.device == "cuda", budget)
    if found["left_out"]:
        say(f"[{model.name}] left out: {found['left_out']}")
        return found
    built = build(shape)
    bench = Bench(built, part("nodes.host").recognise(built), shape, options.device == "cuda")
    try:
        fill(found, bench, model, budget)
    except torch.OutOfMemoryError:
        found["left_out"] = "the GPU ran out of memory"
        say(f"[{model.name}] given up: {found['left_out']}")
    finally:
        del built, bench
        unload()
    return found


def shape_of(model: Model, quick: bool) -> Shape:
    """The model's shape at its resolution, or a tiny one that goes by its name."""
    if quick:
        return replace(QUICK, name=model.shape.name, kind=model.shape.kind)
    return replace(model.shape, size=LATENTS[model.resolution])


def why_not(shape: Shape, cuda: bool, budget: Budget) -> str:
    """Why a model is not timed, empty if it is."""
    if budget.left <= 0:
        return "the time was up"
    block = 8 * shape.dim**2 + 2 * shape.dim * shape.ffn
    need = ROOM * 2 * shape.layers * block
    free = torch.cuda.mem_get_info()[0] if cuda else need
    return "" if free >= need else f"needs {need / 2**30:.0f} GiB, {free / 2**30:.0f} are free"


def unload() -> None:
    """Makes room for the next model."""
    management = import_module("comfy.model_management")
    management.unload_all_models()
    gc.collect()
    management.soft_empty_cache()


def fill(found: Json, bench: Bench, model: Model, budget: Budget) -> None:
    """Plain evaluations, then those of every way, then the cases."""
    warm = bench.run(2)
    each = warm.evaluations[-1] / 1000
    steps = int(min(max(budget.left * 0.15 / each, 2), 10))
    plain = bench.run(steps)
    found["plain_ms"] = round(median(plain.evaluations[1:] or plain.evaluations), 3)
    found["plain_peak_bytes"] = plain.peak_bytes
    say(f"[{model.name}] {found['plain_ms']:.1f} ms for an evaluation without the cache")
    for way in ways(each, budget):
        steps = 8 if budget.left > 40 * each else 4
        found["ways"].append(bench.way(way, steps, found["plain_ms"]))
        say(f"[{model.name}] {gpu_page.told(found['ways'][-1])}")
    found["copies"] = {level: copy_ms(kept_bytes(bench.shape, level)) for level in LEVELS}
    for case in (case for case in CASES if case.model == model):
        found["cases"].append(case_row(case, found, bench, budget))
        say(f"[{model.name}] {gpu_page.told_case(found['cases'][-1])}")


LEVELS = ("output", "hidden")


def kept_bytes(shape: Shape, level: str) -> int:
    """Bytes of one value of both branches."""
    latent = 16 * shape.size[0] * shape.size[1] * shape.size[2]
    each = latent if level == "output" else shape.tokens * shape.dim
    return 2 * each * shape.torch_dtype.itemsize


def ways(each: float, budget: Budget) -> Iterator[Way]:
    """As many as there is time for; a sampling of a way takes at most five evaluations' time."""
    for place, way in enumerate(WAYS):
        if place < SURE or budget.left > 6 * each:
            yield way


def case_row(case: Case, found: Json, bench: Bench, budget: Budget) -> Json:
    """A published setting: its schedule, what it takes and what was published."""
    letters = case.letters()
    computed = letters.count("C")
    way = way_of(case, found["ways"])
    without = case.steps * found["plain_ms"] / 1000
    cached = (computed * way["computed_ms"] + (case.steps - computed) * way["reused_ms"]) / 1000
    sampled = budget.left > 1.1 * (without + cached)
    if sampled:
        mask = letters.replace("C", "1").replace("R", "0")
        patch = bench.patch(Way(way["method"], way["level"], way["cache_device"]), mask)
        both = bench.run(case.steps), bench.run(case.steps, patch)
        without, cached = (sum(run.evaluations) / 1000 for run in both)
    return {
        "method": case.method,
        "setting": case.setting,
        "steps": case.steps,
        "computed": computed,
        "letters": letters,
        "sampled": sampled,
        "seconds_without": round(without, 3),
        "seconds_with": round(cached, 3),
        "ratio": round(without / cached, 4),
        "expected": round(case.steps / computed, 4),
        "published": case.published,
        "source": case.source,
    }


def way_of(case: Case, timed_ways: list[Json]) -> Json:
    """The timed way that costs what this method does: its own, or that of a linear forecast."""
    own = [way for way in timed_ways if way["method"] == case.method]
    return (own or timed_ways[1:2])[0]
