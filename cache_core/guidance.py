"""The uncond branch of one run, made of the cond branch where CFG Cache says so."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import cast

from torch import Tensor

from .cfgcache import CFGCache
from .config import Method, Options
from .decision import Action, Decision, Reason, compute
from .forecast import Forecast, combine
from .guards import Guards, guards_of
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
        options: Options,
        steps: int,
        percent_to_sigma: Callable[[float], float],
    ) -> None:
        self.method = method
        self.policy = cast(CFGCache, method.policy)
        self.steps = steps
        self.guards = _guards(method, self.policy, options, steps, percent_to_sigma)
        self.forecast = Forecast(order=0) if options.forecast == "hold" else FORECAST
        self.differences: dict[Hashable, Difference] = {}

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(difference.history.nbytes for difference in self.differences.values())

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


def _guards(
    method: Method,
    policy: CFGCache,
    options: Options,
    steps: int,
    percent_to_sigma: Callable[[float], float],
) -> Guards:
    """The options' guards, and their window narrowed to the method's own."""
    own = replace(options, start_percent=policy.start_percent, end_percent=policy.end_percent)
    narrow, wide = (guards_of(o, method.guards, steps, percent_to_sigma) for o in (own, options))
    return replace(
        wide,
        start_sigma=min(wide.start_sigma, narrow.start_sigma),
        end_sigma=max(wide.end_sigma, narrow.end_sigma),
    )
