"""Times evaluations on a device, by its own clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch

from .cost_configurations import mask_of
from .gpu_cases import choice_of
from .opening import part
from .random_wan import Shape, sample
from .statistics import median

Json = dict[str, Any]
MILLI = 1000
KEY = "bench"


@dataclass(frozen=True)
class Way:
    """A method and how its values are kept, as it is timed."""

    method: str
    level: str = "output"
    device: str = "gpu"


WAYS = (
    Way("MagCache"),
    Way("TaylorSeer"),
    Way("TaylorSeer", "hidden"),
    Way("TaylorSeer", "output", "cpu"),
    Way("TaylorSeer", "hidden", "cpu"),
    Way("FBCache"),
    Way("FBCache", "hidden"),
)
"""What differs in the cost of an evaluation; the first two are timed even where time is short."""


@dataclass
class Timer:
    """Marks on the device where evaluations start and end: CUDA events, which nobody waits for."""

    cuda: bool
    marks: list[tuple[Any, Any]] = field(default_factory=list)

    def predict_noise(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """One evaluation."""
        started = self._mark()
        try:
            return executor(*args, **kwargs)
        finally:
            self.marks.append((started, self._mark()))

    def milliseconds(self) -> list[float]:
        """Of every evaluation."""
        if not self.cuda:
            return [(end - start) * MILLI for start, end in self.marks]
        torch.cuda.synchronize()
        return [start.elapsed_time(end) for start, end in self.marks]

    def _mark(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


@dataclass(frozen=True)
class Timed:
    """A sampling: milliseconds of its evaluations, seconds on the wall, bytes at most."""

    evaluations: list[float]
    seconds: float
    peak_bytes: int | None


@dataclass(frozen=True)
class Bench:
    """A loaded model on a device."""

    model: Any
    identity: Any
    shape: Shape
    cuda: bool

    def run(self, steps: int, patch: Callable[[Any], Any] | None = None) -> Timed:
        """One sampling, with the cache if there is a patch."""
        timer, clone = Timer(self.cuda), self.model.clone()
        phase = import_module("comfy.patcher_extension").WrappersMP.PREDICT_NOISE
        clone.add_wrapper_with_key(phase, KEY, timer.predict_noise)
        cached = patch(clone) if patch else clone
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        sample(cached, self.shape, steps)
        found = timer.milliseconds()
        seconds = time.perf_counter() - started
        peak = torch.cuda.max_memory_allocated() if self.cuda else None
        return Timed(found, seconds, peak)

    def patch(self, way: Way, mask: str) -> Callable[[Any], Any]:
        """Puts the cache onto a model; the mask says what every step does."""
        options = part("cache_core").Options(
            step_mask=mask,
            cache_level=way.level,
            cache_device=way.device,
            on_few_steps="allow",
        )
        curve = ("wan2.1_t2v_1.3B", 0.12, 4) if way.method == "MagCache" else None
        made = choice_of(way.method, curve)
        return lambda model: part("nodes.host").attach(model, self.identity, made, options)

    def way(self, way: Way, steps: int, plain: float) -> Json:
        """What evaluations take this way: medians of computed and of reused ones."""
        mask = mask_of(steps)
        run = self.run(steps, self.patch(way, mask))
        of = {
            letter: [ms for ms, own in zip(run.evaluations, mask, strict=True) if own == letter]
            for letter in "10"
        }
        computed, reused = median(of["1"][1:]), median(of["0"])
        return {
            "method": way.method,
            "level": way.level,
            "cache_device": way.device,
            "steps": steps,
            "computed_ms": round(computed, 3),
            "overhead": round(computed / plain - 1, 5),
            "reused_ms": round(reused, 3),
            "reused_share": round(reused / plain, 5),
            "peak_bytes": run.peak_bytes,
        }


def copy_ms(nbytes: int) -> Json | None:
    """Milliseconds that a copy of so many bytes to pinned RAM and back takes; None without CUDA."""
    if not torch.cuda.is_available():
        return None
    there = torch.empty(nbytes, dtype=torch.uint8, device="cuda")
    here = torch.empty(nbytes, dtype=torch.uint8, pin_memory=True)
    return {"to_ram": _copy(here, there), "from_ram": _copy(there, here)}


def _copy(target: torch.Tensor, source: torch.Tensor) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    target.copy_(source, non_blocking=True)
    start.record()
    target.copy_(source, non_blocking=True)
    end.record()
    torch.cuda.synchronize()
    return round(float(start.elapsed_time(end)), 3)
