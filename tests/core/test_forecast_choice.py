"""Which forecast a run makes: a table over methods, options, level and sampler."""

from dataclasses import replace
from itertools import product
from math import log

import pytest
import torch
from flow import EULER, Flow, Planned, flow_run, random_latent
from toy import FREE, TOY

from cache_core import FBCache, Method, Options, RunFacts
from cache_core.customcache_presets import CustomCacheChoice
from cache_core.easycache import EasyCache
from cache_core.forecast import Forecast
from cache_core.forecast_choice import BEST, forecast_for
from cache_core.interval import Interval
from cache_core.taylorseer_presets import TaylorSeerChoice

ANCESTRAL = RunFacts(steps=20.0, renoises=True)
OTHER = RunFacts(steps=20.0)
SERIES = Forecast(2, "step", form="series")
METHODS = {
    "plain": Method(FBCache(0.1), FREE),
    "own": Method(Interval(3), FREE, forecast=SERIES),
    "easy": Method(EasyCache(0.05), FREE),
}
HOLD = Forecast(0)

TABLE = [  # method, options, level, facts, forecast
    ("plain", {}, "output", EULER, replace(BEST, corrects=True)),
    ("plain", {}, "output", OTHER, BEST),
    ("plain", {}, "hidden", EULER, BEST),
    ("plain", {}, "output", ANCESTRAL, Forecast(0, anchor="denoised")),
    ("plain", {}, "hidden", ANCESTRAL, BEST),
    ("plain", {"forecast": "hold"}, "output", EULER, HOLD),
    ("plain", {"forecast": "hold"}, "output", ANCESTRAL, HOLD),
    ("plain", {"forecast": "hold", "correction": "on"}, "output", EULER,
     Forecast(0, corrects=True)),
    ("plain", {"forecast": "hold", "correction": "on"}, "output", OTHER, HOLD),
    ("plain", {"forecast": "hold", "correction": "on"}, "hidden", EULER, HOLD),
    ("plain", {"forecast": "taylor"}, "output", EULER, Forecast(1)),
    ("plain", {"forecast": "taylor", "max_order": 3}, "output", EULER, Forecast(3)),
    ("plain", {"forecast": "taylor", "time_axis": "step"}, "output", EULER, Forecast(1, "step")),
    ("plain", {"forecast": "taylor", "correction": "on"}, "output", EULER,
     Forecast(1, corrects=True)),
    ("plain", {"correction": "off"}, "output", EULER, BEST),
    ("plain", {"correction": "on"}, "output", OTHER, BEST),
    ("plain", {"max_order": 0}, "output", EULER, replace(BEST, order=0, corrects=True)),
    ("plain", {"max_order": 2, "time_axis": "sigma"}, "output", EULER,
     replace(BEST, order=2, axis="sigma", corrects=True)),
    ("own", {"forecast": "taylor"}, "output", EULER, SERIES),
    ("own", {"forecast": "taylor", "max_order": 1}, "output", EULER, replace(SERIES, order=1)),
    ("own", {"forecast": "taylor"}, "hidden", EULER, SERIES),
    ("own", {}, "output", EULER, replace(BEST, order=2, axis="step", corrects=True)),
    ("own", {"forecast": "hold"}, "output", EULER, HOLD),
    ("easy", {"forecast": "hold"}, "output", EULER, Forecast(0, anchor="input")),
    ("easy", {"forecast": "hold"}, "output", ANCESTRAL, Forecast(0, anchor="input")),
    ("easy", {"forecast": "hold"}, "hidden", EULER, HOLD),
    ("easy", {}, "output", EULER, replace(BEST, corrects=True)),
    ("easy", {"forecast": "taylor"}, "output", EULER, Forecast(1)),
]  # fmt: skip


@pytest.mark.parametrize(("method", "options", "level", "facts", "expected"), TABLE)
def test_the_forecast_of(method, options, level, facts, expected):
    assert forecast_for([METHODS[method]], Options(**options), level, facts) == expected


EVERYTHING = list(
    product(
        METHODS.values(),
        ("auto", "hold", "taylor"),
        ("auto", "on", "off"),
        (None, 0, 1, 3),
        ("output", "hidden"),
        (EULER, OTHER, ANCESTRAL),
    )
)


def every_choice():
    """Every combination, and the forecast it makes."""
    for method, name, correction, order, level, facts in EVERYTHING:
        options = Options(forecast=name, correction=correction, max_order=order)
        yield (name, correction, level, facts), forecast_for([method], options, level, facts)


def test_what_is_corrected_and_what_is_not_over_all_combinations():
    for (name, correction, level, facts), found in every_choice():
        asked = correction == "on" or (correction == "auto" and name == "auto")
        possible = level == "output" and facts.corrects
        assert not found.corrects or (asked and possible)


def test_only_velocities_are_corrected():
    """What is kept relative to the input or denoised does not add up to the sampler's path."""
    for told, found in every_choice():
        assert found.anchor == "velocity" or not found.corrects, told


def test_hold_is_of_order_0_and_hidden_values_are_kept_as_they_are():
    for (name, _, level, _), found in every_choice():
        assert name != "hold" or found.order == 0
        assert level != "hidden" or found.anchor == "velocity"


def test_correction_of_easycache_held_as_published_is_right_or_left_out():
    """A velocity that is linear in log-SNR: corrected, the end is that of no cache."""
    sigmas, ends = torch.linspace(0.9, 0, 11).tolist(), {}

    def velocity(x, sigma, branch):
        return (1 + log((1 - sigma) / sigma)) * random_latent(1)

    whole, easy = Planned("C" * 10), EasyCache(9.0)
    for name, policy, correction in (
        ("no", whole, "off"),
        ("off", easy, "off"),
        ("on", easy, "on"),
    ):
        told = {"forecast": "hold", "correction": correction, "max_consecutive_skips": 2}
        run = flow_run(policy, sigmas=sigmas, **told)
        ends[name] = Flow(run, velocity).sample(random_latent())[-1]
    off = (ends["off"] - ends["no"]).abs().max().item()
    differs = [(ends["on"] - ends[other]).abs().max().item() for other in ("off", "no")]
    assert off > 0.01 and min(differs) < 1e-4, differs


def test_a_run_takes_the_forecast_of_the_method_that_leads():
    sigmas = torch.linspace(1, 0, 21).tolist()
    for policies, anchor in (
        ((EasyCache(0.1), FBCache(0.1)), "input"),
        ((FBCache(0.1), EasyCache(0.1)), "velocity"),
    ):
        run = flow_run(*policies, sigmas=sigmas, forecast="hold")
        assert run.forecast.anchor == anchor
    run = flow_run(Planned("C" * 20), sigmas=sigmas, own=SERIES, forecast="taylor")
    assert run.forecast == SERIES and run.store.depth == 3
    assert run.trace.forecast == "order 2 in step (series)"
    assert flow_run(FBCache(0.1), sigmas=sigmas, cache_level="hidden").forecast == BEST


def test_published_forecasts_of_methods():
    tea = CustomCacheChoice("custom", 0.2, 2, "step").resolve(TOY)
    seer = TaylorSeerChoice("custom", 3, 2, 1, time_axis="step").resolve(TOY)
    taylor = Options(forecast="taylor")
    assert forecast_for([tea], taylor, "output", EULER) == Forecast(2, "step")
    assert forecast_for([seer], taylor, "output", EULER) == SERIES
