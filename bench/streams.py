"""Samplers of several evaluations a step: what if each stage kept values of its own?

The pack keeps one history for all of them. Here the second stage runs under an attention patch that
changes nothing, so the pack takes the two for passes that have nothing to do with each other. Those
methods are tried that measure, since they measure each history by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from torch import Tensor

from .entry import Entry
from .methods import SWEEPS, fitting, swept
from .scenario import Scenario
from .stage import Stage

OWN = ", own streams"
MEASURING = ("FBCache", "AdaCache", "EasyCache")
KEY = "bench_streams"
Json = dict[str, Any]


def streams(scenario: Scenario) -> Iterator[Entry]:
    """The methods that measure, over their knobs: as they are, and with stages of their own."""
    for sweep in SWEEPS:
        if sweep.method in MEASURING:
            fitted = [fitting(value, scenario) for value in sweep.values]
            shared = list(swept(sweep, [*map(halved, fitted[:2]), *fitted], "auto"))
            yield from (*shared, *map(apart, shared))


def halved(value: Any) -> Any:
    """A knob value with half the threshold: evaluations may be nearer to each other than steps."""
    return (halved(value[0]), *value[1:]) if isinstance(value, tuple) else float(f"{value / 2:.3g}")


def apart(shared: Entry) -> Entry:
    """The same with stages that share nothing."""

    def patch(stage: Stage) -> Any:
        return by_stage(shared.patch(stage))

    return replace(shared, method=shared.method + OWN, patch=patch)


def by_stage(model: Any) -> Any:
    """A clone of the model that tells the two stages of its sampler apart by a patch."""
    clone, turns = model.clone(), Turns()
    phases = import_module("comfy.patcher_extension").WrappersMP
    clone.add_wrapper_with_key(phases.OUTER_SAMPLE, KEY, turns.sampling)
    clone.add_wrapper_with_key(phases.PREDICT_NOISE, KEY, turns.evaluation)
    return clone


@dataclass
class Turns:
    """Whose turn it is: that of the first stage in every other evaluation."""

    evaluations: int = 0

    def sampling(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """A sampling begins with the first stage."""
        self.evaluations = 0
        return executor(*args, **kwargs)

    def evaluation(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """One evaluation, under a patch if it is a second stage's."""
        x, timestep, options, *rest = args
        second = self.evaluations % 2
        self.evaluations += 1
        return executor(x, timestep, patched(options) if second else options, *rest, **kwargs)


def patched(options: Json) -> Json:
    """Model options with an attention patch more."""
    transformer = options["transformer_options"]
    patches = dict(transformer.get("patches", {}))
    patches["attn1_patch"] = [*patches.get("attn1_patch", ()), untouched]
    return {**options, "transformer_options": {**transformer, "patches": patches}}


def untouched(attention: Json) -> Tensor:
    """An attention patch that leaves everything as it is."""
    found: Tensor = attention["x"]
    return found
