"""Samplings taken apart into the evaluations that they are made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from .clock import Clock, running
from .counting import Counts, counting
from .opening import part

PHASE, KEY = "PREDICT_NOISE", "bench"
Patch = Callable[[Any], Any]
"""Puts the cache onto a model."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: seconds on the wall and of the process, and the pack's part of them.

    counts: None unless it was counted. reused: whether the pack left something out.
    """

    wall: float
    cpu: float
    own_wall: float = 0.0
    own_cpu: float = 0.0
    deciding: float = 0.0
    counts: Counts | None = None
    reused: bool = False


@dataclass
class Sampling:
    """One sampling. own: seconds of the pack in all of it. trace: its own, None without it."""

    evaluations: list[Evaluation]
    cpu: float
    own: float
    trace: Any | None = None

    @property
    def evaluating(self) -> float:
        """Processor seconds of all evaluations."""
        return sum(one.cpu for one in self.evaluations)

    @property
    def own_beside(self) -> float:
        """Seconds of the pack outside of evaluations, and what the first took more than others."""
        own = sorted(one.own_wall for one in self.evaluations)
        return self.own - sum(own) + self.evaluations[0].own_wall - own[len(own) // 2]


@dataclass
class Watch:
    """Stands outside the cache, and looks at the clock before and after every evaluation."""

    clock: Clock
    counted: Callable[[], Counts] | None = None
    evaluations: list[Evaluation] = field(default_factory=list)

    def predict_noise(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """One evaluation."""
        before = self.counted() if self.counted else None
        own = self.clock.wall, self.clock.cpu, self.clock.deciding
        wall, cpu = self.clock.now()
        try:
            return executor(*args, **kwargs)
        finally:
            ended = self.clock.now()
            now = self.clock.wall, self.clock.cpu, self.clock.deciding
            spent = [b - a for a, b in zip(own, now, strict=True)]
            counts = self.counted().since(before) if self.counted and before else None
            self.evaluations.append(Evaluation(ended[0] - wall, ended[1] - cpu, *spent, counts))


def sampled(
    model: Any,
    patch: Patch | None,
    sample: Callable[[Any], Any],
    own: bool = False,
    count: bool = False,
) -> Sampling:
    """A sampling of the model, with the cache if there is a patch.

    own: with the pack's own time, looking for which takes some itself. count: slower, with counts.
    """
    clock = Clock()
    watch, clone = Watch(clock), model.clone()
    phase = getattr(import_module("comfy.patcher_extension").WrappersMP, PHASE)
    clone.add_wrapper_with_key(phase, KEY, watch.predict_noise)
    traces: list[Any] = []
    wrappers = part("nodes.host.wrappers")
    publish, wrappers.publish = wrappers.publish, traces.append
    try:
        with ExitStack() as stack:
            if own or count:
                stack.enter_context(running(clock))
            cached = patch(clone) if patch else clone
            if count:
                blocks = model.get_model_object("diffusion_model").blocks
                counter = stack.enter_context(counting(lambda: clock.ours, blocks))
                watch.counted = counter.counts
            clock.wall, started = 0.0, time.process_time()
            sample(cached)
            cpu = time.process_time() - started
    finally:
        wrappers.publish = publish
    trace = traces[-1] if traces else None
    return Sampling(told(watch.evaluations, trace), cpu, clock.wall, trace)


def told(evaluations: list[Evaluation], trace: Any | None) -> list[Evaluation]:
    """The evaluations, and of each whether a branch of it was reused."""
    records = trace.records if trace else ()
    reused = {record.evaluation for record in records if record.action.value == "reuse"}
    return [
        Evaluation(**{**vars(one), "reused": place in reused})
        for place, one in enumerate(evaluations)
    ]
