"""A fixed interval, and the methods that come with a forecast: TaylorSeer and CustomCache."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from flow import EULER, Flow, flow_run, random_latent
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_forecast import NaiveTaylorSeer
from toy import TOY, pattern

from cache_core import Identity, Options, RunFacts, StepCacheError, TeaCache
from cache_core.config import GuardDefaults
from cache_core.customcache_presets import CustomCacheChoice
from cache_core.forecast import Forecast
from cache_core.forecast_choice import BEST, forecast_for
from cache_core.guards import guards_of
from cache_core.interval import Interval
from cache_core.policy import Seen
from cache_core.taylorseer_presets import PRESETS, TaylorSeerChoice
from cache_core.teacache_presets import TeaCacheChoice
from cache_core.timetable import Outlook
from cache_core.variants import PUBLISHED, variants_of
from cache_core.votes import foresee

TUNED = ("quality", "balanced", "fast")
SIZES = ("1.3B", "5B", "14B", "other")
KINDS = ("t2v", "i2v", "vace", "camera", "s2v", "animate")
MODELS = {
    variant.name: Identity("14B", "t2v", 5120, 40, (variant,)) for variant in PUBLISHED.values()
}
for size in SIZES:
    for kind in KINDS:
        MODELS[f"{kind} {size}"] = Identity(size, kind, 99, 7, variants_of(kind, size, 16, False))
MODELS["toy"] = TOY
EVERY_MODEL = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def naive_plan(steps, interval, enhance, last=0):
    """TaylorSeer: full below first_enhance and when the counter is, which a full step resets."""
    told, counter = "", 0
    for step in range(steps):
        full = step == 0 or step < enhance or counter == interval - 1 or step >= steps - last
        counter = 0 if full else counter + 1
        told += "C" if full else "R"
    return told


def even(steps):
    return torch.linspace(1, 0, steps + 1).tolist()


def foreseen(method, steps, **options):
    """The plan of a method for a run of its own."""
    guards = guards_of(Options(**options), method.guards, steps, lambda percent: 1 - percent)
    sigmas = even(steps)[:-1]
    return foresee(method.policy, guards, sigmas, [1.0] * steps)


@settings(max_examples=80)
@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 12), st.integers(0, 5))
def test_plans_are_the_published_pattern(steps, interval, enhance, last):
    choice = TaylorSeerChoice("custom", interval, 1, enhance, last)
    told = foreseen(choice.resolve(TOY, steps), steps)
    assert told == naive_plan(steps, interval, enhance, last)


PLANS = [  # steps, interval, first_enhance, last_steps, plan
    (12, 5, 1, 0, "CRRRRCRRRRCR"),
    (12, 5, 3, 0, "CCCRRRRCRRRR"),
    (12, 3, 2, 1, "CCRRCRRCRRCC"),
    (6, 1, 0, 0, "CCCCCC"),
    (6, 99, 0, 0, "CRRRRR"),
    (6, 2, 99, 0, "CCCCCC"),
]


@pytest.mark.parametrize(("steps", "interval", "enhance", "last", "plan"), PLANS)
@pytest.mark.parametrize("names", [("cond",), ("cond", "uncond")])
@pytest.mark.parametrize("split", [False, True])
def test_plans_are_what_happens(steps, interval, enhance, last, plan, names, split):
    guards = GuardDefaults(0.0, last, None, enhance)
    run = flow_run(Interval(interval), sigmas=even(steps), guards=guards)
    assert run.trace.methods[0].plan == plan
    Flow(run, lambda x, s, b: 0 * x, names, split).sample(random_latent())
    assert {pattern(run, name) for name in names} == {plan}
    assert run.trace.failsafes() == {}


def test_guards_of_the_options_come_first():
    method = TaylorSeerChoice("custom", 4, 1, 6, 2).resolve(TOY)
    assert foreseen(method, 12, warmup_steps=1, last_steps=0) == naive_plan(12, 4, 1)
    assert foreseen(method, 12, max_consecutive_skips=1) == "CCCCCCRCRCCC"


def test_the_metric_is_the_steps_since_the_last_computed_one():
    policy = Interval(3)
    state, told = policy.start(), []
    for _ in range(3):
        verdict, state = policy.judge(state, 1.0)
        told.append((verdict.reuse, verdict.metric, verdict.reason.value))
    words = "interval over"
    assert told == [(True, 1.0, words), (True, 2.0, words), (False, 3.0, words)]
    assert policy.computed(state, Seen()) == policy.start()
    assert policy.timetable(Outlook((0.9, 0.5, 0.1), None)).rows == ((1.0, 1.0, 1.0),)


@pytest.mark.parametrize("interval", [0, -3])
def test_impossible_intervals_are_refused(interval):
    with pytest.raises(StepCacheError, match=f"`interval` is {interval}, but must be 1 "):
        Interval(interval)
    with pytest.raises(StepCacheError, match="`interval`"):
        TaylorSeerChoice("custom", interval, 1, 1).resolve(TOY)


# TaylorSeer


@EVERY_MODEL
@pytest.mark.parametrize("preset", TUNED)
def test_taylorseer_is_the_same_on_every_model(preset, model):
    method = TaylorSeerChoice(preset, 77, 3, 88, 9, node_id="1").resolve(model, 30)
    interval, order, warmup = PRESETS[preset]
    assert method.policy == Interval(interval)
    assert method.guards == GuardDefaults(warmup, 1, None)
    assert method.forecast == Forecast(order, "logsnr", form="series")
    assert (method.name, method.preset, method.node_id) == ("TaylorSeer", preset, "1")
    assert method.source.startswith("ours") and "published" in method.source


def test_taylorseer_reuses_more_from_quality_to_fast_and_spares_the_start():
    plans = [foreseen(TaylorSeerChoice(p, 9, 9, 9).resolve(TOY, 30), 30) for p in TUNED]
    assert plans == [naive_plan(30, PRESETS[p][0], 6, 1) for p in TUNED]
    assert [plan.count("R") for plan in plans] == sorted(plan.count("R") for plan in plans)


@given(st.integers(1, 20), st.integers(0, 3), st.integers(0, 9), st.integers(0, 4))
def test_numbers_by_hand_are_taken_as_given(interval, order, enhance, last):
    choice = TaylorSeerChoice("custom", interval, order, enhance, last, "sigma")
    method = choice.resolve(TOY, 30)
    assert method.policy == Interval(interval) and method.source == "set by hand"
    assert method.guards == GuardDefaults(0.0, last, None, enhance)
    assert method.forecast == Forecast(order, "sigma", form="series")


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize(("interval", "enhance"), [(5, 1), (3, 4), (2, 0)])
def test_whole_samplings_are_the_published_ones(order, interval, enhance):
    """Step axis, no correction: TaylorSeer's own factors, on the model's output."""
    steps, sigmas = 14, torch.linspace(0.98, 0, 15).tolist()
    choice = TaylorSeerChoice("custom", interval, order, enhance, 0, "step")
    method = choice.resolve(TOY, steps)
    options = {"forecast": "taylor", "own": method.forecast, "guards": method.guards}
    run = flow_run(method.policy, sigmas=sigmas, **options)
    path = Flow(run, lambda x, s, b: np.sin(4 * s) - 0.5 * x).sample(random_latent())
    naive, x = NaiveTaylorSeer(order), random_latent()
    for step, what in enumerate(naive_plan(steps, interval, enhance)):
        if what == "C":
            naive.full(step, np.sin(4 * sigmas[step]) - 0.5 * x)
        x = x + (sigmas[step + 1] - sigmas[step]) * naive.cached(step)
    size = 1 + x.abs().max().item()
    torch.testing.assert_close(path[-1], x, rtol=0, atol=2e-5 * size)


# CustomCache


@EVERY_MODEL
@pytest.mark.parametrize("preset", TUNED)
def test_customcache_is_teacache_with_a_forecast_on_every_model(preset, model):
    method = CustomCacheChoice(preset, 9.9, 2, "sigma", "3").resolve(model)
    tea = TeaCacheChoice(preset, 9.9, use_ret_steps=False).resolve(model)
    threshold = max(tea.policy.threshold, 0.26) if preset == "fast" else tea.policy.threshold
    assert method.policy == replace(tea.policy, name="CustomCache", threshold=threshold)
    assert isinstance(method.policy, TeaCache) and method.name == "CustomCache"
    assert method.forecast == Forecast(2, "sigma")
    assert (method.guards, method.notes) == (GuardDefaults(0.2, 1, None), tea.notes)
    assert "nobody published" in method.source and method.node_id == "3"


@EVERY_MODEL
def test_customcache_reuses_more_from_quality_to_fast(model):
    found = [CustomCacheChoice(preset, 0.0).resolve(model).policy.threshold for preset in TUNED]
    assert found == sorted(found) and found[0] > 0


@EVERY_MODEL
@pytest.mark.parametrize("threshold", [0.0, 0.26, 0.4])
def test_a_threshold_by_hand_is_taken_as_given(model, threshold):
    method = CustomCacheChoice("custom", threshold, 0, "step").resolve(model)
    tea = TeaCacheChoice("custom", threshold, use_ret_steps=False).resolve(model)
    assert method.policy.threshold == threshold and method.forecast == Forecast(0, "step")
    assert (method.guards, method.source) == (tea.guards, tea.source)
    assert method.guards.warmup(30) <= 1 and method.guards.last_steps == 1


def test_customcache_has_teacaches_numbers_by_its_own_name_in_a_run():
    choice = CustomCacheChoice("fast", 0.1)
    method = choice.resolve(TOY, 30)
    assert (choice.name, method.name) == ("CustomCache", "CustomCache")
    assert "CustomCache" not in TeaCacheChoice("fast", 0.1).resolve(TOY).name
    assert forecast_for([method], Options(), "output", RunFacts()) == BEST
    assert forecast_for([method], Options(), "output", EULER) == replace(BEST, corrects=True)


@pytest.mark.parametrize("order", [-1, 4])
def test_impossible_orders_are_refused(order):
    for choice in (TaylorSeerChoice("custom", 3, order, 1), CustomCacheChoice("fast", 0.1, order)):
        with pytest.raises(StepCacheError, match=f"`max_order` is {order}, but must be"):
            choice.resolve(TOY)
