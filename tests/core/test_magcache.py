"""MagCache's rule, against a naive reference written from its publication, and its presets."""

from dataclasses import FrozenInstanceError
from itertools import pairwise
from math import inf, prod

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_magcache import NaiveMagCache, naive_pair

from cache_core import (
    CacheConfig,
    Curve,
    Identity,
    MagCache,
    Options,
    Run,
    RunFacts,
    Schedule,
    StepCacheError,
)
from cache_core.config import GuardDefaults
from cache_core.decision import Reason
from cache_core.guards import Guards, guards_of
from cache_core.magcache_presets import MagCacheChoice
from cache_core.published import published
from cache_core.timetable import Outlook, native_sigmas
from cache_core.variants import PUBLISHED
from cache_core.votes import foresee

ANY = Curve((1.0, 0.5), ((1.0, 0.9),))
OPEN = Guards(inf, -1.0, 0, 0, None)


def even(steps):
    """Noise levels of an even schedule, from 1 down."""
    return tuple(1 - step / steps for step in range(steps))


def guarded(retention, steps, last=0):
    """The guards that R stands for, and the last steps of the preset."""
    preset = GuardDefaults(retention, last, None, warmup_steps=1)
    return guards_of(Options(), preset, steps, lambda percent: 1 - percent)


def computed(plan):
    """The steps a plan computes."""
    return [step for step, letter in enumerate(plan) if letter == "C"]


curves = st.lists(st.floats(0.6, 1.4), min_size=2, max_size=30)


@given(
    ratios=st.lists(st.tuples(st.floats(0.6, 1.4), st.floats(0.9, 1.1)), min_size=2, max_size=40),
    error=st.floats(0.0, 1.0),
    most=st.integers(0, 8),
    retention=st.floats(0.0, 1.0),
)
def test_decides_as_the_published_rule_does(ratios, error, most, retention):
    cond, uncond = zip(*ratios, strict=True)
    steps = len(ratios)
    policy, guards = MagCache(error, most, ANY), guarded(retention, steps)
    naive = NaiveMagCache(error, most, retention).sample(cond, uncond)
    plans = [foresee(policy, guards, even(steps), row) for row in (cond, uncond)]
    assert plans[0] == naive[0]
    if int(2 * steps * retention) % 2 == 0:  # else the pack computes uncond with cond
        assert plans[1] == naive[1]


@settings(max_examples=60)
@given(curves, st.floats(0.0, 0.6), st.integers(0, 6), st.floats(0.0, 0.5))
def test_a_curve_on_its_own_schedule_is_the_published_rule(ratios, error, most, retention):
    sigmas = even(len(ratios))
    naive = NaiveMagCache(error, most, retention)
    expected = naive.sample(ratios, ratios)[0]
    assume(naive.margin > 1e-9)
    policy = MagCache(error, most, Curve(sigmas, (tuple(ratios),)))
    table = policy.timetable(Outlook(sigmas, None))
    assert foresee(policy, guarded(retention, len(ratios)), sigmas, table.rows[0]) == expected
    assert table.notes == ()


FIRST_10 = [*range(10)]
T2V_1_3B, T2V_14B = "wan2.1_t2v_1.3B", "wan2.1_t2v_14B"
I2V_480P, I2V_720P = "wan2.1_i2v_480p_14B", "wan2.1_i2v_720p_14B"
T2V_A14B, I2V_A14B = "wan2.2_t2v_A14B", "wan2.2_i2v_A14B"
TI2V_5B = "wan2.2_ti2v_5B"
EVERY_4TH = [14, 19, 24, 29, 34, 38, 41, 44, 46, 48, 49]
EVERY_THIRD = [12, 15, 18, 21, 24, 27, 30, 33, 36]
GOLDEN = [  # curve, E, K, R, steps computed by the published rule
    (T2V_1_3B, 0.12, 2, 0.2, [*FIRST_10, *EVERY_THIRD, 39, 42, 44, 46, 48, 49]),
    (T2V_1_3B, 0.12, 4, 0.2, [*FIRST_10, *EVERY_4TH]),
    (T2V_1_3B, 0.06, 2, 0.2, [*FIRST_10, *EVERY_THIRD, 39, 41, 43, 45, 46, 47, 48, 49]),
    (T2V_1_3B, 0.06, 4, 0.2, [*FIRST_10, 14, 19, 24, 28, 32, 35, 38, 40, 42, 44, 46, 47, 48, 49]),
    (T2V_14B, 0.24, 6, 0.2, [*FIRST_10, 16, 23, 30, 36, 41, 44, 47, 49]),
    (T2V_14B, 0.12, 4, 0.2, [*FIRST_10, *EVERY_4TH]),
    (I2V_480P, 0.24, 6, 0.2, [*range(8), 14, 20, 25, 30, 34, 37, 39]),
    (I2V_480P, 0.12, 4, 0.2, [*range(8), 12, 17, 21, 25, 28, 31, 34, 36, 38]),
    (I2V_720P, 0.24, 6, 0.2, [*range(8), 14, 21, 27, 32, 35, 38]),
    (I2V_720P, 0.12, 4, 0.2, [*range(8), 12, 17, 22, 26, 30, 33, 35, 37, 39]),
    ("wan2.1_vace_1.3B", 0.02, 3, 0.2,
     [*FIRST_10, 13, 17, 21, 24, 27, 30, 33, 35, 37, 39, *range(41, 50)]),
    ("wan2.1_vace_14B", 0.02, 3, 0.2,
     [*FIRST_10, 12, 15, 18, 21, 23, 25, 27, 29, 31, 33, 35, *range(37, 50)]),
    ("wan2.2_ti2v_5B_t2v", 0.06, 2, 0.2, [*FIRST_10, *EVERY_THIRD, 38, 40, 42, 44, 46, 48]),
    ("wan2.2_ti2v_5B_i2v", 0.06, 2, 0.2, [*FIRST_10, *EVERY_THIRD, 38, 40, 42, 44, 46, 47, 48]),
]  # fmt: skip


def plan_on_native_steps(entry, part, error, most, retention):
    """What a run over a part of a published curve's own schedule computes, in both branches."""
    sigmas = native_sigmas(entry["steps"], entry["shift"])[part]
    rows = tuple(tuple(entry[branch][part]) for branch in ("cond", "uncond"))
    policy = MagCache(error, most, Curve(sigmas, rows))
    table = policy.timetable(Outlook(sigmas, None))
    guards = guarded(retention, len(sigmas))
    return [foresee(policy, guards, sigmas, row) for row in table.rows]


@pytest.mark.parametrize(("name", "error", "most", "retention", "steps"), GOLDEN)
def test_published_curves_give_the_known_schedules(name, error, most, retention, steps):
    entry = published("magcache")[name]
    plans = plan_on_native_steps(entry, slice(None), error, most, retention)
    naive = NaiveMagCache(error, most, retention)
    assert plans == list(naive.sample(entry["cond"], entry["uncond"]))
    assert naive.margin > 1e-9
    assert computed(plans[0]) == steps


PAIRS = [  # pair, E, K, R, steps of the high noise model, of the low noise model
    (T2V_A14B, 0.06, 2, 0.4, [*FIRST_10, 12, 15, 18, 21, 24],
     [*range(26, 32), 33, 35, 37, 38, 39]),
    (T2V_A14B, 0.04, 2, 0.2, [0, 1, 2, 3, 4, 7, 10, 13, 16, 19, 22, 25],
     [26, 27, 28, 30, 32, *range(34, 40)]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "error", "most", "retention", "high", "low"), PAIRS)
def test_each_model_of_a_pair_gives_its_part_of_the_known_schedule(
    name, error, most, retention, high, low
):
    entry = published("magcache")[name]
    split = entry["high_noise_steps"]
    assert naive_pair(entry["cond"], split, error, most, retention) == [*high, *low]
    parts = [slice(0, split), slice(split, None)]
    plans = [plan_on_native_steps(entry, part, error, most, retention)[0] for part in parts]
    assert computed(plans[0]) == high
    assert [split + step for step in computed(plans[1])] == low


def test_a_share_that_is_a_whole_number_of_steps_is_that_many_low_noise_steps():
    """The script for pairs compares with <= and computes 6 of 25 at R 0.2; maxdiffusion 5."""
    entry = published("magcache")[I2V_A14B]
    assert [s for s in naive_pair(entry["cond"], 15, 0.06, 2, 0.2) if s < 21] == [
        *(0, 1, 2, 5, 8, 11, 14),
        *range(15, 21),
    ]
    low = plan_on_native_steps(entry, slice(15, None), 0.06, 2, 0.2)[0]
    assert low.startswith("CCCCCRR")


def known_as(name, size="14B", kind="t2v"):
    """A model recognised as one published Wan."""
    return Identity(size, kind, 5120, 40, (PUBLISHED[name],))


def planned(choice, identity, sigmas, **options):
    """The plan a run of this choice announces before its first step."""
    schedule = Schedule.of([*sigmas, sigmas[-1] / 2])
    config = CacheConfig(identity, (choice,), Options(**options))
    run = Run(config, schedule, lambda percent: 1 - percent, RunFacts(steps=50.0))
    run.prepare(None)
    return computed(run.trace.methods[0].plan)


def choice_of(preset, **more):
    """Apply MagCache with this preset; the widgets' numbers must not matter then."""
    return MagCacheChoice(preset, 9.0, 99, 0.9, **more)


PRESETS = [  # variant, preset, steps computed on the curve's schedule; the last step always is
    (T2V_1_3B, "quality", GOLDEN[2][4]),
    (T2V_1_3B, "balanced", GOLDEN[0][4]),
    (T2V_1_3B, "fast", GOLDEN[1][4]),
    (T2V_14B, "fast", GOLDEN[4][4]),
    (T2V_14B, "balanced", GOLDEN[5][4]),
    (I2V_480P, "fast", GOLDEN[6][4]),
    (I2V_480P, "balanced", [*GOLDEN[7][4], 39]),
    (I2V_720P, "fast", [*GOLDEN[8][4], 39]),
    (I2V_720P, "balanced", GOLDEN[9][4]),
    ("wan2.1_vace_1.3B", "balanced", GOLDEN[10][4]),
    ("wan2.1_vace_14B", "balanced", GOLDEN[11][4]),
    (TI2V_5B, "balanced", [*GOLDEN[12][4], 49]),
]


@pytest.mark.parametrize(("name", "preset", "steps"), PRESETS)
def test_presets_compute_the_known_steps_and_the_last(name, preset, steps):
    entry = published("magcache")["wan2.2_ti2v_5B_t2v" if name == TI2V_5B else name]
    sigmas = native_sigmas(entry["steps"], entry["shift"])
    assert planned(choice_of(preset), known_as(name), sigmas) == steps
    without = planned(choice_of(preset), known_as(name), sigmas, last_steps=0)
    assert set(steps) - set(without) <= {entry["steps"] - 1}


def test_a_curve_can_be_chosen_by_name():
    sigmas = native_sigmas(50, 5)
    choice = choice_of("balanced", curve="wan2.2_ti2v_5B_i2v")
    assert planned(choice, known_as(TI2V_5B), sigmas) == [*GOLDEN[13][4], 49]


EXPERTS = [  # pair, expert, preset, steps of the whole schedule that its run computes
    (T2V_A14B, "high", "quality", [*PAIRS[0][4], 25]),
    (T2V_A14B, "low", "quality", PAIRS[0][5]),
    (T2V_A14B, "high", "balanced", PAIRS[1][4]),
    (T2V_A14B, "low", "balanced", PAIRS[1][5]),
    (I2V_A14B, "high", "quality", [*range(15)]),
    (I2V_A14B, "low", "quality", [15, 16, 17, 20, 23, 26, 28, 30, 32, *range(34, 40)]),
    (I2V_A14B, "high", "balanced", [0, 1, 2, 5, 8, 11, 14]),
    (I2V_A14B, "low", "balanced", [*range(15, 20), 22, 25, 28, 30, 32, *range(34, 40)]),
]


@pytest.mark.parametrize(("pair", "expert", "preset", "steps"), EXPERTS)
def test_presets_of_pairs_by_expert(pair, expert, preset, steps):
    entry = published("magcache")[pair]
    start = 0 if expert == "high" else entry["high_noise_steps"]
    end = entry["high_noise_steps"] if expert == "high" else None
    sigmas = native_sigmas(entry["steps"], entry["shift"])[start:end]
    found = planned(choice_of(preset), known_as(f"{pair}_{expert}"), sigmas)
    assert [start + step for step in found] == steps


@pytest.mark.parametrize("pair", [T2V_A14B, I2V_A14B])
def test_each_expert_has_its_own_part_of_the_curve_and_neither_the_dip_between(pair):
    """What stands first in a part is never used: there the low noise model begins."""
    entry = published("magcache")[pair]
    split, sigmas = entry["high_noise_steps"], native_sigmas(entry["steps"], entry["shift"])
    for expert, part in (("high", slice(0, split)), ("low", slice(split, None))):
        curve = choice_of("fast").resolve(known_as(f"{pair}_{expert}")).policy.curve
        assert curve.sigmas == sigmas[part]
        assert curve.ratios == (tuple(entry["cond"][part]), tuple(entry["uncond"][part]))
        row = MagCache(0.1, 2, curve).timetable(Outlook(curve.sigmas, None)).rows[0]
        assert row[1:] == pytest.approx(entry["cond"][part][1:], rel=1e-12)
        assert not any(abs(ratio - entry["cond"][split]) < 1e-9 for ratio in row)


# Resampling


def row_on(sigmas, curve):
    """The ratios of a run over these noise levels, and what was noted."""
    table = MagCache(0.1, 2, curve).timetable(Outlook(tuple(sigmas), None))
    return table.rows[0], table.notes


@settings(max_examples=40)
@given(st.lists(st.floats(0.6, 1.4), min_size=5, max_size=31).filter(lambda r: len(r) % 2))
def test_half_of_the_steps_have_the_products_of_the_ratios(ratios):
    sigmas = even(len(ratios))
    row, notes = row_on(sigmas[::2], Curve(sigmas, (tuple(ratios),)))
    products = [first * second for first, second in zip(ratios[1::2], ratios[2::2], strict=True)]
    assert row[1:] == pytest.approx(products, rel=1e-12)
    assert notes == ()


@settings(max_examples=40)
@given(curves, st.integers(2, 5))
def test_several_times_the_steps_multiply_to_the_ratios(ratios, times):
    sigmas = even(len(ratios))
    between = [
        before + part / times * (after - before)
        for before, after in pairwise(sigmas)
        for part in range(times)
    ]
    row, _ = row_on([*between, sigmas[-1]], Curve(sigmas, (tuple(ratios),)))
    parts = [row[1 + place : 1 + place + times] for place in range(0, len(row) - 1, times)]
    assert list(map(prod, parts)) == pytest.approx(ratios[1:], rel=1e-9)
    assert all(part == pytest.approx([part[0]] * times) for part in parts)


@settings(max_examples=40)
@given(curves, st.lists(st.floats(0.01, 1.0), min_size=3, max_size=12, unique=True))
def test_the_ratio_between_two_levels_does_not_depend_on_what_lies_between(ratios, levels):
    curve = Curve(even(len(ratios)), (tuple(ratios),))
    run = sorted(levels, reverse=True)
    direct = row_on([run[0], run[-1]], curve)[0][1]
    assert prod(row_on(run, curve)[0][1:]) == pytest.approx(direct, rel=1e-9)


@settings(max_examples=40)
@given(curves, st.floats(1.0, 14.0))
def test_the_calibrated_steps_are_reproduced(ratios, shift):
    times = even(len(ratios))
    sigmas = tuple(shift * time / (1 + (shift - 1) * time) for time in times)
    row, notes = row_on(sigmas, Curve(sigmas, (tuple(ratios),)))
    assert row[1:] == pytest.approx(ratios[1:], rel=1e-12)
    assert notes == ()


OUTSIDE = Curve((0.9, 0.8, 0.6, 0.5), ((1.0, 0.98, 0.95, 0.90),))


@pytest.mark.parametrize(
    ("run", "ratio", "note"),
    [
        ([0.95, 0.9], 0.98**0.5, None),
        ([1.0, 0.9], 0.98, None),
        ([1.1, 0.8], 0.98**3, "1 of 2 steps outside the calibrated schedule"),
        ([0.5, 0.45], 0.90**0.5, None),
        ([0.5, 0.3], 0.90**2, "1 of 2 steps outside the calibrated schedule"),
        ([0.3, 0.2], 0.90, "2 of 2 steps outside the calibrated schedule"),
        ([0.7, 0.6], 0.95**0.5, None),
        ([0.6, 0.8], 1 / 0.95, None),  # towards noise
    ],
)
def test_outside_the_calibrated_levels_the_outermost_ratio_goes_on(run, ratio, note):
    row, notes = row_on(run, OUTSIDE)
    assert row[1] == pytest.approx(ratio, rel=1e-12)
    assert notes == ((note,) if note else ())


def test_every_branch_has_its_own_ratios():
    curve = Curve((1.0, 0.5), ((1.0, 0.9), (1.0, 0.7)))
    rows = MagCache(0.1, 2, curve).timetable(Outlook((1.0, 0.5), None)).rows
    assert [row[1] for row in rows] == pytest.approx([0.9, 0.7])


# The rule's edges, and the numbers


JUDGED = [  # E, K, ratios -> reused, error, reason
    (0.2, 9, [0.875], True, 0.125, None),
    (0.125, 9, [0.875], False, 0.125, Reason.ABOVE_THRESHOLD),  # strictly below
    (0.125, 9, [1.125], False, 0.125, Reason.ABOVE_THRESHOLD),
    (0.5, 9, [0.5], False, 0.5, Reason.ABOVE_THRESHOLD),
    (9.0, 9, [0.5, 2.0], True, 0.5, None),  # ratios multiply to 1: the error stays
    (9.0, 9, [0.5, 0.5], True, 1.25, None),  # |1 - 0.5| + |1 - 0.25|
    (9.0, 2, [1.0, 1.0], True, 0.0, None),
    (9.0, 2, [1.0, 1.0, 1.0], False, 0.0, Reason.MAX_SKIPS),
    (9.0, 0, [1.0], False, 0.0, Reason.MAX_SKIPS),
    (0.0, 9, [1.0], False, 0.0, Reason.ABOVE_THRESHOLD),
]


@pytest.mark.parametrize(("error", "most", "ratios", "reused", "metric", "reason"), JUDGED)
def test_errors_add_up_over_multiplied_ratios(error, most, ratios, reused, metric, reason):
    policy = MagCache(error, most, ANY)
    state = policy.start()
    for ratio in ratios:
        verdict, state = policy.judge(state, ratio)
    assert (verdict.reuse, verdict.metric) == (reused, pytest.approx(metric))
    assert reason in (None, verdict.reason)
    assert policy.computed(state, None) == policy.start()


def test_a_policy_and_its_states_never_change():
    policy = MagCache(0.1, 2, ANY)
    start = policy.start()
    policy.judge(start, 0.5)
    assert start == policy.start()
    for frozen, name in ((policy, "threshold"), (start, "ratio"), (ANY, "sigmas")):
        with pytest.raises(FrozenInstanceError):
            setattr(frozen, name, 0.5)


REFUSED = [  # numbers, the input and value named, the remedy
    ({"threshold": -0.01}, "`magcache_thresh` is -0.01", "0 to 10"),
    ({"threshold": 10.5}, "`magcache_thresh` is 10.5", "0 to 10"),
    ({"threshold": float("nan")}, "`magcache_thresh` is nan", "0 to 10"),
    ({"most_skips": -1}, "`magcache_K` is -1", "0 (reuse nothing) or more"),
]


@pytest.mark.parametrize(("numbers", "named", "remedy"), REFUSED)
def test_impossible_numbers_are_refused_with_the_remedy(numbers, named, remedy):
    with pytest.raises(StepCacheError) as refusal:
        MagCache(**{"threshold": 0.1, "most_skips": 2, "curve": ANY, **numbers})
    assert str(refusal.value) == f"{named}, but must be {remedy}."


def test_numbers_by_hand_are_those_of_the_widgets():
    method = MagCacheChoice("custom", 0.33, 7, 0.25, node_id="12").resolve(known_as(T2V_14B))
    assert (method.policy.threshold, method.policy.most_skips) == (0.33, 7)
    assert (method.guards.warmup(40), method.guards.last_steps) == (10, 1)
    assert (method.preset, method.source, method.node_id) == ("custom", "set by hand", "12")
    for number in ("0.33", "7"):
        assert number in method.policy.describe()
    assert method.name == "MagCache"


def test_the_first_step_is_computed_even_without_retention():
    assert MagCacheChoice("custom", 9.0, 99, 0.0).resolve(known_as(T2V_14B)).guards.warmup(50) == 1
    assert foresee(MagCache(9.0, 99, ANY), OPEN, even(4), [1.0] * 4) == "CRRR"
