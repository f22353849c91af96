"""Which forecast a run makes, given the method that leads it and the options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .config import Method, Options
from .forecast import Forecast
from .identity import RunFacts

BEST = Forecast(order=1, axis="logsnr", slope=0.6, horizon=3)
"""What did best on the tiny Wan for every method, corrected where the sampler allows it.

The whole slope does better while gaps are short and early steps are all
computed, and worse otherwise; beyond three steps none is to be trusted.
"""


def forecast_for(
    methods: Sequence[Method], options: Options, level: str, facts: RunFacts
) -> Forecast:
    """The forecast of a run that the first of ``methods`` leads; hold if there are none.

    A correction changes what the sampler gets, so it works on the model's output only. With a
    sampler that adds fresh noise velocities are as new as the noise; only what is denoised stays.
    """
    if not methods:
        return Forecast(order=0)
    found = _uncorrected(methods[0], options)
    if level != "output":
        return replace(found, anchor="velocity")
    if facts.renoises and options.forecast == "auto":
        return Forecast(order=0, anchor="denoised")
    automatic = options.correction == "auto" and options.forecast == "auto"
    wanted = automatic or options.correction == "on"
    return replace(found, corrects=wanted and facts.corrects and found.anchor == "velocity")


def _uncorrected(method: Method, options: Options) -> Forecast:
    if options.forecast == "hold":
        return Forecast(order=0, anchor="input" if method.name == "EasyCache" else "velocity")
    own = method.forecast or Forecast(order=BEST.order, axis=BEST.axis)
    found = own if options.forecast == "taylor" else replace(BEST, order=own.order, axis=own.axis)
    if options.max_order is not None:
        found = replace(found, order=options.max_order)
    return found if options.time_axis is None else replace(found, axis=options.time_axis)
