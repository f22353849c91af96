"""TeaCache's rule, against a naive reference written from its publication, and its presets."""

from dataclasses import FrozenInstanceError
from math import inf, isfinite

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_teacache import NaiveTeaCache, TimeMLP, naive_changes, naive_sinusoid

from cache_core import (
    CacheConfig,
    Fit,
    Identity,
    Options,
    Run,
    RunFacts,
    Schedule,
    StepCacheError,
    TeaCache,
)
from cache_core.config import GuardDefaults
from cache_core.guards import Guards, guards_of
from cache_core.published import published
from cache_core.teacache import relative_changes, sinusoid
from cache_core.teacache_presets import TeaCacheChoice
from cache_core.timetable import Outlook, native_sigmas
from cache_core.variants import PUBLISHED
from cache_core.votes import foresee

OPEN = Guards(inf, -1.0, 0, 0, None)
IDENTICAL = (1.0, 0.0)
"""The polynomial x, highest power first."""


def known_as(name, size="14B", kind="t2v"):
    """A model recognised as one published Wan."""
    return Identity(size, kind, 5120, 40, (PUBLISHED[name],))


def even(steps):
    """Noise levels of an even schedule, from 1 down."""
    return tuple(1 - step / steps for step in range(steps))


def signal_with(changes):
    """An embedding whose relative change is each of these in turn, whatever the sigmas."""
    values = np.cumprod([1.0, *(1 + np.asarray(changes))])
    return lambda sigmas, signal: torch.tensor(values[:, None]).float()


def row_of(policy, sigmas, embed):
    """The row of a timetable, and its notes."""
    table = policy.timetable(Outlook(tuple(sigmas), embed))
    assert len(table.rows) == 1
    return table.rows[0], table.notes


def planned(choice, identity, sigmas, embed, **options):
    """The plan a run of this choice announces before its first step, and what it notes."""
    config = CacheConfig(identity, (choice,), Options(**options))
    schedule = Schedule.of([*sigmas, sigmas[-1] / 2])
    run = Run(config, schedule, lambda percent: 1 - percent, RunFacts(steps=50.0))
    run.prepare(embed)
    return run.trace.methods[0].plan, run.trace.methods[0].notes


# The published rule on its own schedules: variant, signal, seed and bias of a time MLP on whose
# signal the published polynomial stays between 0 and 1

NATIVE = [
    ("wan2.1_t2v_1.3B", "e", 2, 8), ("wan2.1_t2v_1.3B", "e0", 2, 8),
    ("wan2.1_t2v_14B", "e", 9, 1.5), ("wan2.1_t2v_14B", "e0", 0, 5),
    ("wan2.1_i2v_480p_14B", "e", 0, 2), ("wan2.1_i2v_480p_14B", "e0", 0, 5),
    ("wan2.1_i2v_720p_14B", "e", 0, 2.5), ("wan2.1_i2v_720p_14B", "e0", 0, 4),
    ("wan2.2_ti2v_5B", "e", 0, 3),
]  # fmt: skip


@pytest.mark.parametrize("preset", ["quality", "balanced", "fast"])
@pytest.mark.parametrize(("name", "signal", "seed", "bias"), NATIVE)
def test_published_polynomials_on_native_steps_decide_as_published(
    name, signal, seed, bias, preset
):
    entry = published("teacache")[name]
    sigmas, mlp = native_sigmas(entry["steps"], entry["shift"]), TimeMLP(seed, bias)
    numbers = entry[signal]
    naive = NaiveTeaCache(
        numbers["coefficients"], numbers["presets"][preset], signal == "e0", len(sigmas)
    )
    expected = naive.sample([mlp.signal(1000 * sigma, signal) for sigma in sigmas])
    assert min(naive.increments) >= 0 and max(naive.increments) <= 1
    assert naive.margin > 1e-5
    choice = TeaCacheChoice(preset, 9.0, use_ret_steps=signal == "e0")
    plan, notes = planned(choice, known_as(name), sigmas, mlp.embed)
    assert plan == expected
    assert notes == ()


def test_the_examples_of_the_published_rule_reuse_very_different_shares():
    shares = set()
    for name, signal, seed, bias in NATIVE:
        entry, mlp = published("teacache")[name], TimeMLP(seed, bias)
        sigmas = native_sigmas(entry["steps"], entry["shift"])
        choice = TeaCacheChoice("fast", 9.0, use_ret_steps=signal == "e0")
        shares.add(planned(choice, known_as(name), sigmas, mlp.embed)[0].count("R"))
    assert len(shares) > 5 and min(shares) > 0 and max(shares) > 20


@settings(max_examples=60)
@given(
    changes=st.lists(st.floats(0.0, 0.9), min_size=1, max_size=40),
    threshold=st.floats(0.0, 2.0),
    power=st.floats(0.0, 1.0),
    use_ret_steps=st.booleans(),
)
def test_any_signal_on_the_schedule_of_the_fit_is_the_published_rule(
    changes, threshold, power, use_ret_steps
):
    steps = len(changes) + 1
    coefficients = (power, 1 - power, 0.0)
    embed = signal_with(changes)
    naive = NaiveTeaCache(coefficients, threshold, use_ret_steps, steps)
    expected = naive.sample(embed(None, None).double().numpy())
    assume(naive.margin > 1e-4)
    policy = TeaCache(threshold, fit=Fit(coefficients, even(steps)))
    row, notes = row_of(policy, even(steps), embed)
    preset = (
        GuardDefaults(0.0, 0, None, warmup_steps=5)
        if use_ret_steps
        else GuardDefaults(0.0, 1, None, warmup_steps=1)
    )
    guards = guards_of(Options(), preset, steps, lambda percent: 1 - percent)
    assert foresee(policy, guards, even(steps), row) == expected
    assert notes == ()


@pytest.mark.parametrize("use_ret_steps", [True, False])
@pytest.mark.parametrize("steps", [10, 20, 50])
def test_forced_steps_are_those_published(use_ret_steps, steps):
    guards = TeaCacheChoice("fast", 0.1, use_ret_steps).resolve(known_as("wan2.1_t2v_14B")).guards
    expected = (5, 0) if use_ret_steps else (1, 1)
    assert (guards.warmup(steps), guards.last_steps) == expected
    assert guards.max_consecutive_skips is None


def test_use_ret_steps_means_the_projected_embedding():
    for use_ret_steps, signal in ((True, "e0"), (False, "e")):
        choice = TeaCacheChoice("fast", 0.1, use_ret_steps)
        policy = choice.resolve(known_as("wan2.1_t2v_14B")).policy
        coefficients = published("teacache")["wan2.1_t2v_14B"][signal]["coefficients"]
        assert policy.signal == signal
        assert policy.fit.coefficients == tuple(coefficients)
        asked = []
        mlp = TimeMLP(0, 5)

        def embed(sigmas, wanted, asked=asked, mlp=mlp):
            asked.append(wanted)
            return mlp.embed(sigmas, wanted)

        policy.timetable(Outlook(even(20), embed))
        assert set(asked) == {signal}


# Polynomials outside their range


def clamped(coefficients, changes):
    """Predicted changes, cut to 0 and 1."""
    return [min(max(float(np.polyval(coefficients, x)), 0.0), 1.0) for x in changes]


LEAVING = [  # changes of 8 fitted steps, coefficients, steps outside
    ([0.1] * 7, IDENTICAL, 0),
    ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], (1.0, -0.25), 2),
    ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], (2.0, 0.0), 2),
    ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], (2.0, -0.3), 2),
    ([0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.02], (2.0, -0.1), 2),
    ([0.05, 0.05, 0.05, 0.3, 0.3, 0.3, 0.3], (1.0, -0.1), 3),
]


@pytest.mark.parametrize(("changes", "coefficients", "wrong"), LEAVING)
def test_impossible_predictions_are_clamped_and_said(changes, coefficients, wrong):
    sigmas = even(len(changes) + 1)
    policy = TeaCache(0.5, fit=Fit(coefficients, sigmas))
    row, notes = row_of(policy, sigmas, signal_with(changes))
    assert row == pytest.approx([0.0, *clamped(coefficients, changes)], abs=1e-5)
    told = f"polynomial outside 0 to 1 at {wrong} of {len(changes)} fitted steps"
    assert notes == ((told,) if wrong else ())


@settings(max_examples=60)
@given(
    st.lists(st.floats(0.0, 0.9), min_size=2, max_size=20),
    st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=4),
)
def test_a_polynomial_wrong_on_most_of_its_schedule_gives_way_to_the_raw_signal(
    changes, coefficients
):
    sigmas, embed = even(len(changes) + 1), signal_with(changes)
    exact = naive_changes(embed(None, None).double().numpy())
    raw = np.polyval(coefficients, exact)
    assume(min(*np.abs(raw), *np.abs(raw - 1)) > 1e-4)
    wrong = int(((raw < 0) | (raw > 1)).sum())
    row, notes = row_of(TeaCache(0.5, fit=Fit(tuple(coefficients), sigmas)), sigmas, embed)
    if 2 * wrong > len(changes):
        assert row == pytest.approx([0.0, *(10 * change for change in exact)], abs=1e-3)
        assert notes == (
            f"polynomial outside 0 to 1 at {wrong} of {len(changes)} fitted steps, "
            "not this model's: raw signal times 10 instead",
        )
    else:
        assert row == pytest.approx([0.0, *clamped(coefficients, exact)], abs=1e-3)
        assert len(notes) == (wrong > 0)


def test_a_published_polynomial_on_another_models_signal_gives_way():
    """14B's polynomial for e is negative below changes of 0.13."""
    entry, mlp = published("teacache")["wan2.1_t2v_14B"], TimeMLP(0, 8)
    sigmas = native_sigmas(50, 5)
    fit = Fit(tuple(entry["e"]["coefficients"]), sigmas)
    row, notes = row_of(TeaCache(0.2, "e", fit), sigmas, mlp.embed)
    exact = naive_changes([mlp.signal(1000 * sigma, "e") for sigma in sigmas])
    assert row[1:] == pytest.approx([10 * change for change in exact], rel=1e-4)
    assert len(notes) == 1 and "not this model's" in notes[0]


# Other schedules than that of the fit


def fitted_policy(threshold=0.2):
    """The published numbers of 1.3B on a model where they hold."""
    entry = published("teacache")["wan2.1_t2v_1.3B"]["e"]
    return TeaCache(threshold, "e", Fit(tuple(entry["coefficients"]), native_sigmas(50, 5)))


MLP = TimeMLP(2, 8)


@settings(max_examples=30)
@given(st.integers(2, 120), st.floats(1.0, 12.0), st.floats(0.1, 0.99), st.floats(0.1, 0.99))
def test_what_is_predicted_between_two_levels_does_not_depend_on_the_steps(steps, shift, one, two):
    first, last = max(one, two), min(one, two)
    times = np.linspace(first, last, steps)
    run = shift * times / (1 + (shift - 1) * times)
    whole = row_of(fitted_policy(), [run[0], run[-1]], MLP.embed)[0][1]
    assert sum(row_of(fitted_policy(), run, MLP.embed)[0]) == pytest.approx(whole, abs=1e-9)


def test_on_half_of_the_steps_predictions_add_up():
    sigmas = native_sigmas(50, 5)
    every, half = (row_of(fitted_policy(), run, MLP.embed)[0] for run in (sigmas, sigmas[::2]))
    sums = [first + second for first, second in zip(every[1:48:2], every[2:49:2], strict=True)]
    assert half[1:] == pytest.approx(sums, rel=1e-9)


@pytest.mark.parametrize("steps", [10, 20, 30, 80])
def test_fewer_steps_do_not_leave_the_range_of_the_polynomial(steps):
    row, notes = row_of(fitted_policy(), native_sigmas(steps, 5), MLP.embed)
    assert notes == ()
    assert min(row) >= 0


def test_steps_outside_the_fitted_schedule_are_said():
    run = [0.5, 0.3, 0.05, 0.01]
    assert native_sigmas(50, 5)[-2:] == (0.172, 0.092)
    row, notes = row_of(fitted_policy(), run, MLP.embed)
    assert notes == ("1 of 4 steps outside the fitted schedule",)
    last = row_of(fitted_policy(), [0.172, 0.092], MLP.embed)[0][1]
    assert row[3] / 0.04 == pytest.approx(last / 0.08)


@pytest.mark.parametrize("fit", [None, Fit(IDENTICAL, even(20))], ids=["raw", "fitted"])
def test_a_sampling_towards_noise_changes_as_much_as_one_away_from_it(fit):
    """A change is never negative: the sum would fall, and nothing be computed any more."""
    mlp, sigmas = TimeMLP(1, 5), even(20)
    policy = TeaCache(0.3, "e", fit)
    towards, _ = row_of(policy, sigmas[::-1], mlp.embed)
    away, _ = row_of(policy, sigmas, mlp.embed)
    assert min(towards) >= 0
    assert sum(towards) == pytest.approx(sum(away), rel=0.2)
    assert foresee(policy, OPEN, sigmas[::-1], towards).count("C") > 1


def test_noise_that_is_added_again_is_a_change_too():
    sigmas = even(20)
    policy = TeaCache(0.3, "e", Fit(IDENTICAL, sigmas))
    restarted = [*sigmas[:15], *sigmas[5:]]
    row, _ = row_of(policy, restarted, TimeMLP(1, 5).embed)
    assert min(row) >= 0
    assert row[15] == pytest.approx(sum(row[6:15]))


# The signal


@settings(max_examples=40)
@given(st.lists(st.floats(0.0, 1000.0), min_size=1, max_size=4), st.sampled_from([2, 64, 256]))
def test_the_sinusoid_is_that_of_wan(timesteps, dim):
    expected = np.stack([naive_sinusoid(timestep, dim) for timestep in timesteps])
    found = sinusoid(torch.tensor(timesteps, dtype=torch.float64), dim)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)


def test_the_sinusoid_does_not_depend_on_the_type_of_the_timesteps():
    whole = torch.tensor([0, 1, 500, 999])
    for other in (whole.float(), whole.double()):
        assert torch.equal(sinusoid(whole, 256), sinusoid(other, 256))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_relative_changes_are_those_of_mean_magnitudes(dtype):
    signals = torch.randn(9, 31, generator=torch.Generator().manual_seed(3)).to(dtype)
    expected = naive_changes(list(signals.double().numpy()))
    assert relative_changes(signals) == [0.0, *(pytest.approx(x, rel=1e-4) for x in expected)]


def test_without_a_fit_the_raw_changes_count():
    mlp, sigmas = TimeMLP(1, 5), native_sigmas(30, 8)
    for signal in ("e", "e0"):
        row, notes = row_of(TeaCache(0.1, signal), sigmas, mlp.embed)
        exact = naive_changes([mlp.signal(1000 * sigma, signal) for sigma in sigmas])
        assert row == pytest.approx([0.0, *exact], rel=1e-4)
        assert notes == ()


def test_a_change_against_zeros_is_not_finite_and_so_never_reused():
    zeros = torch.zeros(3, 4)
    row, _ = row_of(TeaCache(9.0), even(3), lambda sigmas, signal: zeros)
    assert not any(map(isfinite, row[1:]))
    assert foresee(TeaCache(9.0), OPEN, even(3), row) == "CCC"


# The rule's edges, and the numbers


JUDGED = [  # threshold, changes -> reused, sum
    (0.5, [0.25], True, 0.25),
    (0.5, [0.5], False, 0.5),  # strictly below
    (0.5, [0.25, 0.25], False, 0.5),
    (0.5, [0.25, 0.125], True, 0.375),
    (0.0, [0.0], False, 0.0),
]


@pytest.mark.parametrize(("threshold", "changes", "reused", "total"), JUDGED)
def test_changes_add_up_until_a_step_is_computed(threshold, changes, reused, total):
    policy = TeaCache(threshold)
    state = policy.start()
    for change in changes:
        verdict, state = policy.judge(state, change)
    assert (verdict.reuse, verdict.metric) == (reused, total)
    assert policy.computed(state, None) == policy.start() == 0.0


@pytest.mark.parametrize("threshold", [-0.01, 10.5, float("nan")])
def test_impossible_thresholds_are_refused_with_the_remedy(threshold):
    with pytest.raises(StepCacheError) as refusal:
        TeaCache(threshold)
    assert str(refusal.value) == f"`rel_l1_thresh` is {threshold!r}, but must be 0 to 10."


def test_a_policy_never_changes_and_tells_its_numbers():
    policy = TeaCache(0.25, "e", Fit(IDENTICAL, (1.0, 0.5)))
    with pytest.raises(FrozenInstanceError):
        policy.threshold = 1.0
    assert policy.describe() == "predicted change of e < 0.25"
    assert TeaCache(0.25).describe() == "raw change of e0 < 0.25"
    assert policy.name == "TeaCache"


def test_numbers_by_hand_are_those_of_the_widgets():
    identity = known_as("wan2.1_t2v_14B")
    method = TeaCacheChoice("custom", 0.33, False, node_id="7").resolve(identity)
    assert (method.policy.threshold, method.policy.signal) == (0.33, "e")
    assert method.policy.fit is not None
    assert (method.preset, method.source, method.node_id) == ("custom", "set by hand", "7")


@pytest.mark.parametrize("preset", ["quality", "balanced", "fast"])
def test_without_coefficients_presets_are_about_a_tenth(preset):
    identity = known_as("wan2.1_t2v_14B")
    fitted = TeaCacheChoice(preset, 9.0).resolve(identity).policy
    raw = TeaCacheChoice(preset, 9.0, fitted=False).resolve(identity)
    assert raw.policy.fit is None
    assert 0.05 <= raw.policy.threshold / fitted.threshold <= 0.2
    assert "a tenth" in raw.source and raw.notes == ()


def test_coefficients_that_are_not_published_for_the_signal_are_replaced_and_said():
    method = TeaCacheChoice("fast", 9.0, use_ret_steps=True).resolve(known_as("wan2.2_ti2v_5B"))
    assert method.policy.signal == "e"
    assert method.guards.warmup(50) == 5
    assert method.notes == ("no polynomial for e0 is published: e instead",)
