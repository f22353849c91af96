"""Which forecast a run makes, given the method that leads it and the options."""

from __future__ import annotations

from dataclasses import replace

from .config import Method, Options
from .forecast import Forecast

BEST = Forecast(order=1, axis="logsnr", slope=0.6, horizon=3)
"""What did best on the tiny Wan for every method: see docs/benchmarks.md."""


def forecast_for(method: Method, options: Options, level: str, correctable: bool) -> Forecast:
    """The forecast of a run that ``method`` leads.

    correctable: the sampler adds up velocities. A correction changes what the sampler gets, so it
    works on the model's output only.
    """
    found = _uncorrected(method, options)
    if level != "output":
        return replace(found, offset=False)
    automatic = options.correction == "auto" and options.forecast == "auto"
    wanted = automatic or options.correction == "on"
    return replace(found, corrects=wanted and correctable)


def _uncorrected(method: Method, options: Options) -> Forecast:
    if options.forecast == "hold":
        return Forecast(order=0, offset=method.name == "EasyCache")
    own = method.forecast or Forecast(order=BEST.order, axis=BEST.axis)
    found = own if options.forecast == "taylor" else replace(BEST, order=own.order, axis=own.axis)
    if options.max_order is not None:
        found = replace(found, order=options.max_order)
    return found if options.time_axis is None else replace(found, axis=options.time_axis)
