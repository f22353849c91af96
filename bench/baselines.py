"""What the pack is compared with: fewer steps, every k-th step, the host's own caches."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from .entry import Entry
from .opening import part
from .scenario import MAIN, Scenario
from .stage import Stage

FEWER, EVERY = "fewer steps", "every k-th step"
SHIPPED, SHIELDED, LAZY = "host EasyCache", "host EasyCache, input copied", "host LazyCache"
SHARES = (0.667, 0.5, 0.4, 0.333)
INTERVALS = (2, 3)
EASY = (0.04, 0.1, 0.25, 0.6)
LAZIER = (0.08, 0.15, 0.3, 0.7)
START, END = 0.15, 0.95
"""The defaults of the host's nodes."""


def baselines(scenario: Scenario) -> Iterator[Entry]:
    """All of them; outside the main scenario less of what does worst."""
    for share in SHARES:
        steps = round(share * scenario.steps)
        yield Entry("baseline", FEWER, f"{steps} steps", lambda stage: stage.model, steps=steps)
    if scenario == MAIN:
        yield from worst()
    for limit in EASY:
        yield cached(SHIELDED, "Easy", scenario.threshold(limit), copied=True)
    for limit in LAZIER:
        yield cached(LAZY, "Lazy", scenario.threshold(limit))


def worst() -> Iterator[Entry]:
    """What does worst, once."""
    for interval in INTERVALS:
        yield Entry("baseline", EVERY, f"k {interval}", lambda s, k=interval: every(s, k))
    for limit in EASY:
        yield cached(SHIPPED, "Easy", limit)


def cached(method: str, node: str, limit: float, copied: bool = False) -> Entry:
    """One of the host's nodes at a threshold."""

    def patch(stage: Stage) -> Any:
        return host_node(shielded(stage.model) if copied else stage.model, node, limit)

    return Entry("baseline", method, f"threshold {limit:g}", patch)


def every(stage: Stage, interval: int) -> Any:
    """One step in so many, from the first on; the others repeat it. First and last are computed."""
    choice = part("cache_core.taylorseer_presets").TaylorSeerChoice("custom", interval, 0, 1)
    options = part("cache_core").Options(forecast="hold")
    return part("nodes.host").attach(stage.model, stage.identity, choice, options)


def host_node(model: Any, which: str, threshold: float) -> Any:
    """The host's own node EasyCache or LazyCache on a model."""
    node = getattr(import_module("comfy_extras.nodes_easycache"), f"{which}CacheNode")
    return node.execute(model, threshold, START, END, False).args[0]


def shielded(model: Any) -> Any:
    """A clone whose later wrappers get a copy of the model's input to write to."""
    clone = model.clone()
    phase = import_module("comfy.patcher_extension").WrappersMP.DIFFUSION_MODEL
    clone.add_wrapper_with_key(phase, "bench_copies_input", copy_input)
    return clone


def copy_input(executor: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """The first wrapper, so the outermost one."""
    return executor(x.clone(), *args, **kwargs)
