"""CFG Cache's numbers, its decisions, its bands of frequency."""

from math import inf, log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import TOY

from cache_core import Options, RunFacts, Schedule, StepCacheError
from cache_core.cfgcache import CFGCache
from cache_core.cfgcache_presets import PRESETS, CFGCacheChoice
from cache_core.guidance import guidance_of
from cache_core.schedule import Position

STEPS = 20


def percent_to_sigma(percent):
    return inf if percent <= 0 else 1 - percent


def guidance(interval=3, start=0.0, end=1.0, **options):
    method = CFGCacheChoice("custom", interval, start, end).resolve(TOY)
    schedule = Schedule.of([1 - step / STEPS for step in range(STEPS + 1)])
    return guidance_of([method], Options(**options), schedule, RunFacts(), percent_to_sigma)


def at(step):
    return Position(step, step, 1 - step / STEPS)


def followed(guided, reused=(), conditions=lambda step: "same"):
    """B (both), C (cond only) or R (reused by a step method) for every step of a run."""
    known, letters = guided.difference("window"), ""
    for step in range(STEPS):
        if step in reused:
            letters += "R"
            continue
        if guided.decide(known, at(step), conditions(step)).reuses:
            known.without += 1
            letters += "C"
        else:
            guided.learn(known, at(step), conditions(step), torch.zeros(1, 2, 3))
            letters += "B"
    return letters


@pytest.mark.parametrize(
    ("settings_", "expected"),
    [
        ({"interval": 1}, "BBBBBBBBBBBBBBBBBBBB"),
        ({"interval": 2}, "BCBCBCBCBCBCBCBCBCBB"),
        ({"interval": 3}, "BCCBCCBCCBCCBCCBCCBB"),
        ({"interval": 4, "start": 0.45}, "BBBBBBBBBCCCBCCCBCCB"),
        ({"interval": 4, "end": 0.5}, "BCCCBCCCBCBBBBBBBBBB"),
        ({"interval": 2, "start_percent": 0.5}, "BBBBBBBBBBCBCBCBCBCB"),
        ({"interval": 2, "warmup_steps": 6, "last_steps": 5}, "BBBBBBCBCBCBCBCBBBBB"),
        ({"interval": 2, "end": 0.3, "start_percent": 0.5}, "B" * 20),
    ],
)
def test_one_in_an_interval_runs_both_within_both_windows(settings_, expected):
    assert followed(guidance(**settings_)) == expected


def test_evaluations_that_a_step_method_reuses_do_not_count():
    assert followed(guidance(3), reused={1, 2, 4, 6}) == "BRRCRCRBCCBCCBCCBCCB"


def test_other_conditions_mean_both():
    appears = followed(guidance(4), conditions=lambda step: "with" if 5 <= step < 9 else "without")
    assert appears == "BCCCBBCCCBCCCBCCCBCB"


@settings(max_examples=30)
@given(st.integers(5, 40), st.integers(5, 40), st.floats(0, 2), st.floats(0, 2))
def test_bands_are_weighted_as_a_naive_transform_says(height, width, low, high):
    value = torch.randn(2, 1, height, width, generator=torch.Generator().manual_seed(3))
    found = CFGCache(2, 0.0, 1.0, low, high).weighted(value)
    spectrum = np.fft.fftshift(np.fft.fft2(value.numpy()), axes=(-2, -1))
    rows, columns = np.indices((height, width))
    away = np.hypot(rows - height // 2, columns - width // 2)
    spectrum *= np.where(away <= min(height, width) // 5, low, high)
    expected = np.fft.ifft2(np.fft.ifftshift(spectrum, axes=(-2, -1))).real
    torch.testing.assert_close(found, torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-5)


def test_weights_of_one_leave_a_difference_as_it_is():
    value = torch.randn(1, 2, 8, 8)
    assert CFGCache(2, 0.0, 1.0).weighted(value) is value


@pytest.mark.parametrize("forecast", ["hold", "auto"])
def test_a_difference_that_never_changes_is_restored(forecast):
    guided = guidance(3, forecast=forecast)
    known, value = guided.difference("window"), torch.randn(1, 4, 5)
    for step in (0, 3):
        guided.learn(known, at(step), "same", value)
    restored = guided.restore(known, at(5), torch.zeros(1, 4, 5))
    torch.testing.assert_close(restored, value)
    assert guided.nbytes == value.nbytes * (1 if forecast == "hold" else 2)


@pytest.mark.parametrize(
    ("numbers", "field"),
    [
        ((0, 0.0, 1.0), "interval"),
        ((21, 0.0, 1.0), "interval"),
        ((2, 0.6, 0.5), "end_percent"),
        ((2, 0.5, 0.5), "end_percent"),
        ((2, -0.1, 0.5), "start_percent"),
        ((2, 0.5, 1.5), "end_percent"),
    ],
)
def test_wrong_numbers_are_refused_by_name(numbers, field):
    with pytest.raises(StepCacheError, match=f"`{field}`"):
        CFGCache(*numbers)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_leave_the_layout_to_full_guidance(preset):
    policy = CFGCacheChoice(preset, 9, 0.0, 1.0).resolve(TOY).policy
    assert (policy.interval, policy.start_percent, policy.end_percent) == PRESETS[preset]
    assert policy.start_percent >= 0.2


@pytest.mark.parametrize(
    ("preset", "scale", "interval"),
    [
        ("quality", 5.0, 2),
        ("quality", 8.0, 2),  # 1 would leave nothing out
        ("quality", 2.5, 3),
        ("balanced", 8.0, 2),
        ("balanced", 5.0, 3),
        ("balanced", 3.0, 4),
        ("fast", 12.0, 3),
        ("fast", 1.1, 10),  # at most twice as long
        ("fast", None, 5),  # a guider that does not say
        ("custom", 8.0, 9),  # what the user chose
    ],
)
def test_presets_run_uncond_more_often_the_stronger_the_guidance(preset, scale, interval):
    method = CFGCacheChoice(preset, 9, 0.0, 1.0).resolve(TOY)
    schedule = Schedule.of([1 - step / STEPS for step in range(STEPS + 1)])
    guided = guidance_of([method], Options(), schedule, RunFacts(cfg=scale), percent_to_sigma)
    assert guided.policy.interval == interval
    assert f"once in {interval} computed" in guided.method.policy.describe()


def test_reused_differences_are_made_good_at_the_next_full_evaluation():
    """Added to the difference: what interpolating says that the forecasts in between got wrong."""
    method = CFGCacheChoice("custom", 4, 0.0, 1.0).resolve(TOY)
    schedule = Schedule.of([1 - step / STEPS for step in range(STEPS + 1)])
    facts = RunFacts(corrects=True)
    guided = guidance_of([method], Options(), schedule, facts, percent_to_sigma)
    known, cond = guided.difference("window"), torch.zeros(1)
    assert guided.learn(known, at(2), "same", torch.tensor([3.0])) is None
    used = [float(guided.restore(known, at(step), cond)) for step in (3, 4)]
    known.without = 1
    added = guided.learn(known, at(5), "same", torch.tensor([6.0]))
    points = [log((1 - at(step).sigma) / at(step).sigma) for step in (2, 3, 4, 5)]
    true = np.interp(points[1:3], [points[0], points[3]], [3.0, 6.0])
    assert used == [3.0, 3.0]
    assert float(added) == pytest.approx(sum(true - used), rel=1e-5)
    guided.restore(known, at(6), cond)
    assert guided.learn(known, at(7), "other", torch.tensor([1.0])) is None  # another prompt's


@pytest.mark.parametrize(("without", "made_good"), [(0, False), (1, True)])
def test_reused_steps_owe_a_difference_only_if_uncond_then_misses_one(without, made_good):
    """Where both branches are computed next, each makes good its own."""
    method = CFGCacheChoice("custom", 4, 0.0, 1.0).resolve(TOY)
    schedule = Schedule.of([1 - step / STEPS for step in range(STEPS + 1)])
    facts = RunFacts(corrects=True)
    guided = guidance_of([method], Options(), schedule, facts, percent_to_sigma)
    known = guided.difference("window")
    guided.learn(known, at(2), "same", torch.tensor([3.0]))
    guided.owe(known, at(3))
    known.without = without
    added = guided.learn(known, at(5), "same", torch.tensor([6.0]))
    assert (added is not None) == made_good
