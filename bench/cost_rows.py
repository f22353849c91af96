"""What the pack costs in one configuration, next to the same sampling without it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from .counting import Counts, peak_bytes
from .evaluations import Evaluation, Sampling, sampled
from .opening import part
from .random_wan import Shape, sample
from .statistics import bootstrap, median

Json = dict[str, Any]
ALTERNATING = "01"
MILLI = 1000
PLAIN = ("gpu", "model")
LEVELS, DEVICES = ("output", "hidden"), ("gpu", "cpu")
DTYPES = ("model", "bf16", "fp16", "fp8")


@dataclass(frozen=True)
class Configuration:
    """A method, and how its values are kept."""

    method: str
    level: str = "output"
    device: str = "gpu"
    dtype: str = "model"

    def patch(self, identity: Any, steps: int) -> Callable[[Any], Any]:
        """Puts it onto a model: from the third on, every other step is reused."""
        options = part("cache_core").Options(
            step_mask="" if self.method == "CFG Cache" else mask_of(steps),
            cache_level=self.level,
            cache_device=self.device,
            cache_dtype=self.dtype,
            on_few_steps="allow",
        )
        choice = CHOICES[self.method]()
        attach = part("nodes.host").attach
        return lambda model: attach(model, identity, choice, options)


def mask_of(steps: int) -> str:
    """Two steps computed, then in turn one reused and one computed."""
    return ("11" + ALTERNATING * steps)[:steps]


def choice(name: str, *numbers: Any, **named: Any) -> Any:
    """One of the pack's choices with numbers of its own."""
    module = part(f"cache_core.{name.lower()}_presets")
    return getattr(module, f"{name}Choice")("custom", *numbers, **named)


CHOICES: dict[str, Callable[[], Any]] = {
    "FBCache": lambda: choice("FBCache", 0.1),
    "TeaCache": lambda: choice("TeaCache", 0.1),
    "MagCache": lambda: choice("MagCache", 0.12, 4, 0.2, curve="wan2.1_t2v_1.3B"),
    "TaylorSeer": lambda: choice("TaylorSeer", 2, 1, 1),
    "AdaCache": lambda: choice("AdaCache", "0.1:2, 1:1"),
    "CustomCache": lambda: choice("CustomCache", 0.1),
    "EasyCache": lambda: choice("EasyCache", 0.05),
    "CFG Cache": lambda: choice("CFGCache", 2, 0.0, 1.0),
}
"""Every method. The mask decides; what they measure in order to decide, they measure as ever."""

LOOKS_AT_BLOCK_0 = ("FBCache",)
GUIDANCE = ("CFG Cache",)


def configurations() -> Iterator[Configuration]:
    """Every method at both levels; then one that keeps two values, everywhere and as everything."""
    for name in CHOICES:
        levels = LEVELS[:1] if name in GUIDANCE else LEVELS
        yield from (Configuration(name, level) for level in levels)
    for level, device, dtype in product(LEVELS, DEVICES, DTYPES):
        if (device, dtype) != PLAIN:
            yield Configuration("TaylorSeer", level, device, dtype)


FEW = (
    Configuration("FBCache"),
    Configuration("TaylorSeer"),
    Configuration("TaylorSeer", "hidden"),
)
"""Where an evaluation takes seconds: one that looks at tensors, and one that does not."""


@dataclass(frozen=True)
class Measured:
    """A model to measure on. steps: of each sampling. pairs: of samplings without and with."""

    model: Any
    identity: Any
    shape: Shape
    steps: int
    pairs: int

    def sample(self, model: Any) -> Any:
        """One sampling."""
        return sample(model, self.shape, self.steps)

    def row(self, configuration: Configuration) -> Json:
        """Everything about a configuration: a counted sampling, then pairs of timed ones."""
        patch = configuration.patch(self.identity, self.steps)
        counted = sampled(self.model, patch, self.sample, count=True)
        both = [self._pair(patch, turned=bool(pair % 2)) for pair in range(self.pairs)]
        return {
            "method": configuration.method,
            "level": configuration.level,
            "cache_device": configuration.device,
            "cache_dtype": configuration.dtype,
            **timed(both),
            **speedup(both),
            "counts": counts(counted),
            "peak_cache_bytes": counted.trace.peak_bytes if counted.trace else None,
            "peak_bytes_over_uncached": self._peak(patch) - self._peak(None),
            "failsafes": counted.trace.failsafes() if counted.trace else None,
        }

    def _pair(self, patch: Callable[[Any], Any], turned: bool) -> tuple[Sampling, Sampling]:
        """Without and with the pack; turned: measured in the other order."""
        if turned:
            run = self._once(patch)
            return self._once(None), run
        return self._once(None), self._once(patch)

    def _once(self, patch: Callable[[Any], Any] | None) -> Sampling:
        return sampled(self.model, patch, self.sample)

    def _peak(self, patch: Callable[[Any], Any] | None) -> int:
        model = patch(self.model) if patch else self.model
        short = replace(self, steps=min(self.steps, 5))
        return peak_bytes(lambda: short.sample(model))

    def block_ms(self) -> float:
        """Milliseconds of the processor that one block takes in an evaluation."""
        blocks, clock = self.model.get_model_object("diffusion_model").blocks, Stopwatch()
        handles = [
            blocks[0].register_forward_pre_hook(clock.start),
            blocks[0].register_forward_hook(clock.stop),
        ]
        try:
            self.sample(self.model)
        finally:
            for handle in handles:
                handle.remove()
        return round(median(clock.spent) * MILLI, 4)


@dataclass
class Stopwatch:
    """Seconds of the processor between starts and stops."""

    started: float = 0.0
    spent: list[float] = field(default_factory=list)

    def start(self, *_: Any) -> None:
        """Now."""
        self.started = time.process_time()

    def stop(self, *_: Any) -> None:
        """So long."""
        self.spent.append(time.process_time() - self.started)


def timed(both: Sequence[tuple[Sampling, Sampling]]) -> Json:
    """Milliseconds of an evaluation: medians over all of a kind, but for the first of a sampling.

    paired: how much longer computed evaluations took than the same ones without the pack, as a
    share of these, with the 95 % interval of the mean over the pairs of samplings.
    """
    plain = [one for before, _ in both for one in before.evaluations[1:]]
    cached = [one for _, run in both for one in run.evaluations[1:]]
    computed = [one for one in cached if not one.reused]
    reused = [one for one in cached if one.reused]
    shares = [paired(before, run) for before, run in both]
    return {
        "plain_ms": kinds(plain),
        "computed_ms": kinds(computed),
        "reused_ms": kinds(reused),
        "own_ms_once": round(median([run.own_beside for _, run in both]) * MILLI, 4),
        "paired": {
            "median": round(median(shares), 5),
            "interval": [round(bound, 5) for bound in bootstrap(shares)],
        },
    }


def kinds(evaluations: Sequence[Evaluation]) -> Json:
    """Medians: on the wall, of the processor, and the pack's part of both and for decisions."""
    names = ("wall", "cpu", "own_wall", "own_cpu", "deciding")
    found = {name: [getattr(one, name) for one in evaluations] for name in names}
    return {name: round(median(values) * MILLI, 4) for name, values in found.items()}


def paired(before: Sampling, run: Sampling) -> float:
    """By what share the computed evaluations of a sampling took longer than without the pack."""
    pairs = zip(before.evaluations[1:], run.evaluations[1:], strict=True)
    found = [(one.cpu, other.cpu) for one, other in pairs if not other.reused]
    return median([new / old for old, new in found]) - 1


def speedup(both: Sequence[tuple[Sampling, Sampling]]) -> Json:
    """Processor time of all evaluations without over with, and evaluations over computed ones."""
    run = both[0][1]
    realised = median([before.evaluating / run.evaluating for before, run in both])
    return {
        "evaluations": len(run.evaluations),
        "computed": sum(not one.reused for one in run.evaluations),
        "realised_speedup": round(realised, 4),
    }


def counts(run: Sampling) -> Json:
    """Of a computed and of a reused evaluation once everything is in place: the last of each."""
    last = {one.reused: one.counts for one in run.evaluations}
    return {
        name: vars(last.get(reused) or Counts())
        for name, reused in (("computed", False), ("reused", True))
    }
