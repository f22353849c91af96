"""Whose time it is while a step is sampled: the pack's, or the host's."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .opening import part

Function = Callable[..., Any]


@dataclass
class Clock:
    """Adds up the pack's own time, in seconds on the wall and of the process.

    The pack and the host call each other, so whoever was called last is at work until it returns.
    deciding: the part of it in which it is found out what an evaluation does.
    """

    wall: float = 0.0
    cpu: float = 0.0
    deciding: float = 0.0

    def __post_init__(self) -> None:
        self.at_work = [False]
        self.since = self.now()

    @property
    def ours(self) -> bool:
        """True while the pack is at work."""
        return self.at_work[-1]

    def now(self) -> tuple[float, float]:
        """The time on the wall and of the process."""
        return time.perf_counter(), time.process_time()

    def works(self, function: Function, ours: bool) -> Function:
        """``function`` as the work of the pack, or of the host."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._turn()
            self.at_work.append(ours)
            try:
                return function(*args, **kwargs)
            finally:
                self._turn()
                self.at_work.pop()

        return timed

    def decides(self, function: Function) -> Function:
        """``function`` as part of a decision."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.deciding += time.perf_counter() - started

        return timed

    def _turn(self) -> None:
        """What has passed since the last turn is the time of whoever is at work."""
        wall, cpu = self.now()
        if self.at_work[-1]:
            self.wall += wall - self.since[0]
            self.cpu += cpu - self.since[1]
        self.since = wall, cpu


@contextmanager
def running(clock: Clock) -> Iterator[None]:
    """Puts the clock where the host enters the pack, and the pack the host.

    What the host itself does more because there are wrappers (some microseconds a phase) is not
    seen here; pairs of evaluations with and without the pack show it.
    """
    call, stack = part("cache_core.call").Call, part("nodes.host.hidden").HiddenStack
    executor = import_module("comfy.patcher_extension").WrapperExecutor
    model = import_module("comfy.ldm.wan.model").WanModel
    places = [
        *((call, name, True) for name in ("observe", "watch", "reuse")),
        (stack, "forward", True),
        (executor, "__call__", False),
        (model, "_forward", False),
    ]
    phases = part("nodes.host.attach").PHASES
    before = dict(phases)
    old = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    old += [(call, name, getattr(call, name)) for name in ("_observe", "_settle")]
    try:
        phases.update({phase: clock.works(wrapper, True) for phase, wrapper in before.items()})
        for owner, name, ours in places:
            setattr(owner, name, clock.works(getattr(owner, name), ours))
        for name in ("_observe", "_settle"):
            setattr(call, name, clock.decides(getattr(call, name)))
        yield
    finally:
        phases.update(before)
        for owner, name, function in old:
            setattr(owner, name, function)
