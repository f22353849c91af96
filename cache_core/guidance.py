"""The uncond branch of one run, made of the cond branch where CFG Cache says so."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from math import prod
from typing import Any, cast

import torch
from torch import Tensor

from .cfgcache import CFGCache
from .config import Method, Options
from .decision import Action, Decision, Reason, compute
from .forecast import Forecast, combine
from .guards import Guards, guards_of
from .identity import RunFacts
from .memory import Sizes
from .recall import make_good, weighed
from .recent import Recent
from .schedule import Position, Schedule
from .store import History

FORECAST = Forecast(order=1, axis="logsnr", slope=0.6, horizon=3)
"""What did best on the tiny Wan."""

GUIDED = Decision(Action.REUSE, Reason.GUIDANCE, method=CFGCache.name)
"""Uncond is made of cond."""


class Difference:
    """What uncond has over cond, in velocity, as last computed; of one context window.

    conditions: those that were in force then. without: evaluations computed since then, none of
    which ran uncond; while there are some, the values kept of uncond are out of date. present: the
    last evaluation of the window.
    """

    def __init__(self, forecast: Forecast) -> None:
        self.history = History(forecast.depth)
        self.conditions: Hashable = None
        self.without = 0
        self.present: Position | None = None


class Guidance:
    """CFG Cache in one run."""

    def __init__(
        self,
        method: Method,
        policy: CFGCache,
        guards: Guards,
        forecast: Forecast,
        schedule: Schedule,
    ) -> None:
        self.method = method
        self.policy = policy
        self.guards = guards
        self.forecast = forecast
        self.schedule = schedule
        self.differences: Recent[Hashable, Difference] = Recent()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(difference.history.nbytes for difference in self.differences.values())

    def state_bytes(self, sizes: Sizes) -> int:
        """Bytes of the differences of one window; the host adds up outputs in fp32."""
        return self.forecast.depth * sizes.rows * prod(sizes.output) * torch.float32.itemsize

    def difference(self, window: Hashable) -> Difference:
        """Of a context window, empty when it is new."""
        return self.differences.use(window, lambda: Difference(self.forecast))

    def decide(self, known: Difference, position: Position, conditions: Hashable) -> Decision:
        """Whether uncond needs to run, if the evaluation is computed at all."""
        known.present = position
        forbidden = self.guards.forbids(position, self.schedule.steps, 0)
        if not known.history.positions:
            return compute(forbidden or Reason.FIRST)
        if conditions != known.conditions:
            return compute(Reason.CHANGED)
        due = known.without + 1 >= self.policy.interval
        full = forbidden or (Reason.INTERVAL if due else None)
        return compute(full) if full else GUIDED

    def learn(
        self, known: Difference, position: Position, conditions: Hashable, difference: Tensor
    ) -> Tensor | None:
        """Both branches were computed: keep the difference of their velocities, uncond - cond.

        What to add to it so that differences reused before are made good, None where none are; see
        ``forecast.correction_weights``.
        """
        history, added = known.history, None
        if not known.without:
            history.owed.clear()  # both branches made good what they owed
        if history.owed and conditions == known.conditions:
            added = make_good(history, self.schedule, position, difference) - difference
        signature = (tuple(difference.shape), difference.dtype, difference.device)
        history.record(position, difference, signature)
        known.conditions, known.without = conditions, 0
        return added

    def restore(self, known: Difference, position: Position, cond: Tensor) -> Tensor:
        """The difference at a position, forecast and weighted, on the device of ``cond``."""
        history = known.history
        weights = self.owe(known, position)
        return self.policy.weighted(combine(history.slots, weights, cond.dtype, cond.device))

    def owe(self, known: Difference, position: Position) -> list[float]:
        """The weights of a difference that is reused, noted if it is to be made good.

        Both branches reused by a step method owe one too: should uncond miss the next computed
        evaluation, it is the only account of what their forecasts got wrong.
        """
        return weighed(self.forecast, self.schedule, known.history, position)

    def drop_stale(self, position: Position) -> None:
        """Drop the differences of windows that were away: what they missed was not counted."""
        for window, known in list(self.differences.items()):
            if known.present and position.leaves_out(known.present):
                del self.differences[window]

    def clear(self) -> None:
        """Let go of every tensor."""
        self.differences.clear()


def guidance_of(
    methods: Sequence[Method], options: Options, schedule: Schedule, facts: RunFacts, *where: Any
) -> Guidance | None:
    """CFG Cache, if it is among the methods of a run; ``where``: the rest of ``guards_of``.

    Its guards are those of the options, their window narrowed to the method's own.
    """
    method = next((m for m in methods if isinstance(m.policy, CFGCache)), None)
    if method is None:
        return None
    policy = cast(CFGCache, method.policy).at_scale(facts.cfg)
    method = replace(method, policy=policy)
    own = replace(options, start_percent=policy.start_percent, end_percent=policy.end_percent)
    chosen = (own, options)
    narrow, wide = (guards_of(o, method.guards, schedule.steps, *where) for o in chosen)
    start = min(wide.start_sigma, narrow.start_sigma)
    guards = replace(wide, start_sigma=start, end_sigma=max(wide.end_sigma, narrow.end_sigma))
    return Guidance(method, policy, guards, _forecast(options, facts), schedule)


def _forecast(options: Options, facts: RunFacts) -> Forecast:
    if options.forecast == "hold":
        return Forecast(order=0)
    automatic = options.correction == "auto" and options.forecast == "auto"
    wanted = automatic or options.correction == "on"
    return replace(FORECAST, corrects=wanted and facts.corrects)
