"""The uncond branch of one run, made of the cond branch where CFG Cache says so."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from math import prod
from typing import cast

import torch
from torch import Tensor

from .cfgcache import CFGCache
from .config import Method, Options
from .decision import Action, Decision, Reason, compute
from .forecast import Forecast, combine
from .guards import Guards, guards_of
from .memory import Sizes
from .schedule import Position
from .store import History

FORECAST = Forecast(order=1, axis="logsnr", slope=0.6, horizon=3)
"""What did best on the tiny Wan."""

GUIDED = Decision(Action.REUSE, Reason.GUIDANCE, method=CFGCache.name)
"""Uncond is made of cond."""


class Difference:
    """What uncond has over cond, in velocity, as last computed; of one context window.

    conditions: those that were in force then. without: evaluations computed since then, none of
    which ran uncond; while there are some, the values kept of uncond are out of date.
    """

    def __init__(self, forecast: Forecast) -> None:
        self.history = History(forecast.depth)
        self.conditions: Hashable = None
        self.without = 0


class Guidance:
    """CFG Cache in one run."""

    def __init__(
        self,
        method: Method,
        policy: CFGCache,
        guards: Guards,
        steps: int,
        forecast: Forecast = FORECAST,
    ) -> None:
        self.method = method
        self.policy = policy
        self.guards = guards
        self.steps = steps
        self.forecast = forecast
        self.differences: dict[Hashable, Difference] = {}

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(difference.history.nbytes for difference in self.differences.values())

    def state_bytes(self, sizes: Sizes) -> int:
        """Bytes of the differences of one window; the host adds up outputs in fp32."""
        return self.forecast.depth * sizes.rows * prod(sizes.output) * torch.float32.itemsize

    def difference(self, window: Hashable) -> Difference:
        """Of a context window, empty when it is new."""
        return self.differences.setdefault(window, Difference(self.forecast))

    def decide(self, known: Difference, position: Position, conditions: Hashable) -> Decision:
        """Whether uncond needs to run, if the evaluation is computed at all."""
        forbidden = self.guards.forbids(position, self.steps, 0)
        if not known.history.positions:
            return compute(forbidden or Reason.FIRST)
        if conditions != known.conditions:
            return compute(Reason.CHANGED)
        due = known.without + 1 >= self.policy.interval
        full = forbidden or (Reason.INTERVAL if due else None)
        return compute(full) if full else GUIDED

    def record(
        self, known: Difference, position: Position, conditions: Hashable, difference: Tensor
    ) -> None:
        """Both branches were computed: keep the difference of their velocities, uncond - cond."""
        signature = (tuple(difference.shape), difference.dtype, difference.device)
        known.history.record(position, difference, signature)
        known.conditions, known.without = conditions, 0

    def restore(self, known: Difference, position: Position, cond: Tensor) -> Tensor:
        """The difference at a position, forecast and weighted, on the device of ``cond``."""
        history = known.history
        weights = self.forecast.weights(history.positions, position)
        found = combine(history.slots, weights, cond.dtype, cond.device)
        return self.policy.weighted(found)

    def clear(self) -> None:
        """Let go of every tensor."""
        self.differences.clear()


def guidance_of(
    methods: Sequence[Method],
    options: Options,
    steps: int,
    percent_to_sigma: Callable[[float], float],
    before: int = 0,
    letters: str = "",
) -> Guidance | None:
    """CFG Cache, if it is among the methods of a run; see ``guards_of``.

    Its guards are those of the options, their window narrowed to the method's own.
    """
    method = next((m for m in methods if isinstance(m.policy, CFGCache)), None)
    if method is None:
        return None
    policy = cast(CFGCache, method.policy)
    own = replace(options, start_percent=policy.start_percent, end_percent=policy.end_percent)
    where = (method.guards, steps, percent_to_sigma, before, letters)
    narrow, wide = (guards_of(chosen, *where) for chosen in (own, options))
    start = min(wide.start_sigma, narrow.start_sigma)
    guards = replace(wide, start_sigma=start, end_sigma=max(wide.end_sigma, narrow.end_sigma))
    forecast = Forecast(order=0) if options.forecast == "hold" else FORECAST
    return Guidance(method, policy, guards, steps, forecast)
