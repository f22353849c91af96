"""What the pack costs in one configuration, next to the same sampling without it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from .cost_configurations import Configuration
from .counting import Counts, peak_bytes
from .evaluations import Evaluation, Sampling, sampled
from .random_wan import Shape, sample
from .statistics import bootstrap, median

Json = dict[str, Any]
MILLI = 1000
LOOKS = 6
"""Samplings at most in which the pack's own time is looked for; it varies little."""
SPENT, OWN = ("wall", "cpu"), ("own_wall", "own_cpu", "deciding")


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
        looks = range(min(self.pairs, LOOKS))
        clocked = [sampled(self.model, patch, self.sample, own=True) for _ in looks]
        return {
            "method": configuration.method,
            "level": configuration.level,
            "cache_device": configuration.device,
            "cache_dtype": configuration.dtype,
            **timed(both),
            **own(clocked),
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
        return self._through_block_0(self._diffusion_model.blocks[0])

    def probe_ms(self) -> float:
        """Milliseconds until block 0 is done: what comes in front of it, and the block itself."""
        return self._through_block_0(self._diffusion_model)

    def _through_block_0(self, entered: Any) -> float:
        clock, block = Stopwatch(), self._diffusion_model.blocks[0]
        handles = [
            entered.register_forward_pre_hook(clock.start),
            block.register_forward_hook(clock.stop),
        ]
        try:
            self.sample(self.model)
        finally:
            for handle in handles:
                handle.remove()
        return round(median(clock.spent) * MILLI, 4)

    @property
    def _diffusion_model(self) -> Any:
        return self.model.get_model_object("diffusion_model")

    def host_ms(self) -> float:
        """Milliseconds of an evaluation whose model returns at once: what no cache can go below.

        Each stands behind a computed one, as reused ones do: what the processor had at hand for
        the host's own work is gone by then.
        """
        clone, turns = self.model.clone(), Turns()
        phase = import_module("comfy.patcher_extension").WrappersMP.DIFFUSION_MODEL
        clone.add_wrapper_with_key(phase, "bench_at_once", turns.call)
        found = sampled(clone, None, self.sample).evaluations[1::2]
        return round(median([one.cpu for one in found]) * MILLI, 4)


@dataclass
class Turns:
    """A model that has something to do in every other call."""

    calls: int = 0

    def call(self, executor: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Zeros at once in every second call; x [rows, channels, frames, height, width]."""
        self.calls += 1
        return executor(x, *args, **kwargs) if self.calls % 2 else x.new_zeros(x.shape)


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
    computed, reused = kinds(run for _, run in both)
    shares = [paired(before, run) for before, run in both]
    return {
        "plain_ms": medians(plain, SPENT),
        "computed_ms": medians(computed, SPENT),
        "reused_ms": medians(reused, SPENT),
        "paired": {
            "median": round(median(shares), 5),
            "interval": [round(bound, 5) for bound in bootstrap(shares)],
        },
    }


def own(clocked: Sequence[Sampling]) -> Json:
    """Milliseconds of the pack itself: in an evaluation as above, and once in a sampling."""
    computed, reused = kinds(clocked)
    return {
        "computed_own_ms": medians(computed, OWN),
        "reused_own_ms": medians(reused, OWN),
        "own_ms_once": round(median([run.own_beside for run in clocked]) * MILLI, 4),
    }


def kinds(runs: Iterable[Sampling]) -> tuple[list[Evaluation], list[Evaluation]]:
    """The computed and the reused evaluations, but for the first of each sampling."""
    found: tuple[list[Evaluation], list[Evaluation]] = ([], [])
    for run in runs:
        for one in run.evaluations[1:]:
            found[one.reused].append(one)
    return found


def medians(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Json:
    """The median of each of these times, in milliseconds."""
    found = {name: [getattr(one, name) for one in evaluations] for name in names}
    return {name: round(median(values) * MILLI, 4) for name, values in found.items()}


def paired(before: Sampling, run: Sampling) -> float:
    """By what share the computed evaluations of a sampling took longer than without the pack."""
    pairs = zip(before.evaluations[1:], run.evaluations[1:], strict=True)
    found = [(one.cpu, other.cpu) for one, other in pairs if not other.reused]
    return median([new / old for old, new in found]) - 1


def speedup(both: Sequence[tuple[Sampling, Sampling]]) -> Json:
    """Processor time of all evaluations without over with, and how many of them are computed.

    The median over the pairs of samplings, and the 95 % interval of their mean.
    """
    run = both[0][1]
    found = [before.evaluating / run.evaluating for before, run in both]
    return {
        "evaluations": len(run.evaluations),
        "computed": sum(not one.reused for one in run.evaluations),
        "realised_speedup": round(median(found), 4),
        "realised_interval": [round(bound, 4) for bound in bootstrap(found)],
    }


def counts(run: Sampling) -> Json:
    """Of a computed and of a reused evaluation once everything is in place: the last of each."""
    last = {one.reused: one.counts for one in run.evaluations}
    return {
        name: vars(last.get(reused) or Counts())
        for name, reused in (("computed", False), ("reused", True))
    }
