"""Static methods in whole samplings of a toy: what they plan is what happens, unseen."""

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import (
    BATCH,
    FREE,
    TOY,
    Rows,
    ToyModel,
    batched,
    call_of,
    pattern,
    quiet,
    sample,
    split,
    story,
)

import cache_core.call
import cache_core.scalars
from cache_core import (
    CacheConfig,
    Curve,
    FBCache,
    MagCache,
    Method,
    Options,
    Run,
    RunFacts,
    Schedule,
    TeaCache,
)
from cache_core.config import GuardDefaults
from cache_core.report import assumptions, node_text, plan_line, plan_text, ranges, summary_line

COUNTED = RunFacts(steps=20.0, counted=True)
READ = RunFacts(steps=20.0)
STEPS = 12
EVERY_SCRIPT = {"batched": batched, "split": split}


class BlindModel(ToyModel):
    """A model whose block 0 nobody may look at."""

    def block_0(self, rows):
        raise AssertionError("block 0 was observed")


def even(steps):
    """Noise levels of an even schedule, with the 0 at its end."""
    return torch.linspace(1, 0, steps + 1).tolist()


def changing(*changes):
    """The embedding of a run whose steps differ by these, the first from nothing."""
    values = torch.tensor(np.cumprod([1.0, *(1 + np.asarray(changes))])).float()
    return lambda sigmas, signal: values[: len(sigmas), None]


STEADY = changing(*[0.1] * 50)


def mag(error=0.3, most=99, cond=0.9, uncond=None, steps=STEPS):
    """MagCache whose ratios are the same at every step of an even schedule."""
    rows = [(1.0, *[ratio] * (steps - 1)) for ratio in (cond, uncond) if ratio is not None]
    return MagCache(error, most, Curve(tuple(even(steps)[:-1]), tuple(rows)))


def static_run(*policies, steps=STEPS, facts=COUNTED, guards=FREE, embed=STEADY, **options):
    """A prepared run over an even schedule; without a forecast, values tell when they were made."""
    methods = tuple(Method(policy, guards) for policy in policies)
    schedule, told = Schedule.of(even(steps)), Options(**{"forecast": "hold", **options})
    run = quiet(Run(CacheConfig(TOY, methods, told), schedule, lambda p: 1 - p, facts))
    run.shield(lambda: run.prepare(embed))
    return run


def plan(run, which=0):
    """The plan of a method, as the trace shows it."""
    return run.trace.methods[which].plan


def reasons(run, branch="cond"):
    """Why, evaluation by evaluation."""
    return [r.reason.value for r in run.trace.records if r.branch == branch]


@pytest.fixture
def no_reading(monkeypatch):
    """Whoever waits for the device fails."""

    def forbidden(scalars):
        raise AssertionError("the device was waited for")

    monkeypatch.setattr(cache_core.call, "read_scalars", forbidden)
    monkeypatch.setattr(cache_core.scalars, "read_scalars", forbidden)


ERROR_03 = "CRRCRRCRRCRR"  # 0.1 + 0.19 < 0.3 <= 0.1 + 0.19 + 0.271
SUM_025 = "CRRCRRCRRCRR"  # 0.1 + 0.1 < 0.25 <= 0.3
PLANS = [  # policy, options, plan of 12 steps
    (mag(0.3), {}, ERROR_03),
    (TeaCache(0.25), {}, SUM_025),
    (mag(0.3, most=1), {}, "CRCRCRCRCRCR"),
    (mag(0.0), {}, "C" * 12),
    (TeaCache(9.0), {}, "C" + "R" * 11),
    (TeaCache(0.25), {"warmup_steps": 4}, "CCCCRRCRRCRR"),
    (TeaCache(0.25), {"last_steps": 2}, "CRRCRRCRRCCC"),
    (TeaCache(9.0), {"last_steps": 1}, "CRRRRRRRRRRC"),
    (TeaCache(9.0), {"max_consecutive_skips": 2}, "CRRCRRCRRCRR"),
    (TeaCache(9.0), {"max_consecutive_skips": 0}, "C" * 12),
    (mag(9.0), {"max_consecutive_skips": 3}, "CRRRCRRRCRRR"),
    (TeaCache(9.0), {"start_percent": 0.5}, "CCCCCCRRRRRR"),
    (TeaCache(9.0), {"end_percent": 0.5}, "CRRRRRCCCCCC"),
    (TeaCache(0.25), {"warmup_steps": 2, "last_steps": 1, "max_consecutive_skips": 1},
     "CCRCRCRCRCRC"),
    (TeaCache(9.0), {"warmup_steps": 99}, "C" * 12),
]  # fmt: skip


@pytest.mark.parametrize("kind", EVERY_SCRIPT)
@pytest.mark.parametrize("facts", [COUNTED, READ], ids=["counted", "read"])
@pytest.mark.parametrize("cfg_mode", ["cond", "separate"])
@pytest.mark.parametrize(("policy", "options", "expected"), PLANS)
def test_the_plan_is_what_happens_and_nothing_is_observed(
    policy, options, expected, cfg_mode, facts, kind
):
    run = static_run(policy, facts=facts, cfg_mode=cfg_mode, **options)
    assert plan(run) == expected
    sample(run, EVERY_SCRIPT[kind](*[1.0] * STEPS), model=BlindModel())
    assert pattern(run) == pattern(run, "uncond") == expected
    assert run.trace.failsafes() == {}
    assert not run.behind_block_0


def test_guards_of_a_preset_give_way_to_the_options_in_the_plan_too():
    preset = GuardDefaults(0.5, 2, None, warmup_steps=3)
    assert plan(static_run(TeaCache(9.0), guards=preset)) == "CCCCCCRRRRCC"
    run = static_run(TeaCache(9.0), guards=preset, warmup_steps=2, last_steps=0)
    sample(run, batched(*[1.0] * STEPS))
    assert plan(run) == pattern(run) == "CCRRRRRRRRRR"


def naive_values(told):
    """What a sampling with this plan returns: the number of the last computation."""
    computed = [told[: i + 1].count("C") for i in range(len(told))]
    return [[[2.0 * n - 1, 2.0 * n]] for n in computed]


@settings(max_examples=40)
@given(
    changes=st.lists(st.sampled_from([0.0, 0.03, 0.11, 0.4]), min_size=15, max_size=25),
    threshold=st.sampled_from([0.05, 0.1, 0.2, 0.5]),
    guards=st.builds(
        dict,
        warmup_steps=st.integers(0, 5),
        last_steps=st.integers(0, 3),
        max_consecutive_skips=st.none() | st.integers(0, 3),
        cfg_mode=st.sampled_from(["cond", "separate"]),
    ),
    counted=st.booleans(),
)
def test_any_plan_is_what_happens(changes, threshold, guards, counted):
    steps = len(changes) + 1
    facts = RunFacts(steps=steps, counted=counted)
    run = static_run(
        TeaCache(threshold), steps=steps, facts=facts, embed=changing(*changes), **guards
    )
    values = sample(run, batched(*[1.0] * steps), model=BlindModel())
    assert pattern(run) == pattern(run, "uncond") == plan(run)
    assert values == naive_values(plan(run))


def test_plans_and_their_notes_are_in_the_trace_before_the_first_step():
    run = static_run(mag(0.3, steps=6), TeaCache(0.25))
    assert [method.plan for method in run.trace.methods] == [plan(run, 0), plan(run, 1)]
    assert run.trace.records == []
    written = json.loads(json.dumps(run.trace.as_json()))
    assert [method["plan"] for method in written["methods"]] == [plan(run, 0), plan(run, 1)]
    assert written["methods"][0]["notes"] == []
    far = MagCache(0.3, 9, Curve((0.5, 0.4, 0.3), ((1.0, 0.9, 0.9),)))
    noted = static_run(far)
    assert "outside the calibrated schedule" in noted.trace.methods[0].notes[0]


# Waiting for the device


def test_where_steps_are_counted_the_device_is_never_waited_for(no_reading):
    for kind in EVERY_SCRIPT.values():
        run = static_run(TeaCache(0.25), mag(0.1))
        sample(run, kind(*[1.0] * STEPS), model=BlindModel())
        assert run.trace.errors == 0
        assert "R" in pattern(run)


def test_counted_steps_are_told_as_the_sampler_has_them(no_reading):
    run = static_run(TeaCache(0.25))
    sample(run, batched(*[1.0] * STEPS))
    cond = [r for r in run.trace.records if r.branch == "cond"]
    assert [r.step for r in cond] == list(range(STEPS))
    assert [r.sigma for r in cond] == pytest.approx(even(STEPS)[:-1])


def test_where_they_are_not_the_sigma_tells_the_step():
    """Two evaluations a step, the second half-way: both are of the step they fall in."""
    run = static_run(TeaCache(0.25), steps=6, facts=READ, embed=changing(*[0.1] * 6))
    starts = even(6)
    sigmas = [sigma - half / 12 for sigma in starts[:-1] for half in (0, 1)]
    sample(run, batched(*[1.0] * 12), sigmas=sigmas, model=BlindModel())
    cond = [r for r in run.trace.records if r.branch == "cond"]
    assert [r.step for r in cond] == [step for step in range(6) for _ in (0, 1)]
    assert [r.sigma for r in cond] == pytest.approx(sigmas)
    assert pattern(run).startswith("C")


@pytest.mark.parametrize("policy", [TeaCache(0.05), mag(0.05, steps=6)], ids=["tea", "mag"])
def test_a_second_evaluation_in_the_first_step_has_no_distance(policy):
    """Nothing came before the first step: what stands there in a timetable is never used."""
    run = static_run(policy, steps=6, facts=READ, embed=changing(*[0.1] * 6), warmup_steps=0)
    sample(run, batched(1.0, 1.0, 1.0), sigmas=[1.0, 0.95, 5 / 6], model=BlindModel())
    assert pattern(run) == "CCC"


def test_evaluations_beyond_the_schedule_are_found_by_their_sigma():
    run = static_run(TeaCache(9.0), last_steps=1)
    sample(run, batched(*[1.0] * (STEPS + 1)), sigmas=[*even(STEPS)[:-1], 0.01])
    assert run.trace.records[-1].step == STEPS - 1
    assert pattern(run)[-1] == "C"


def test_one_reading_an_evaluation_where_steps_are_not_counted(monkeypatch):
    reads = []
    monkeypatch.setattr(cache_core.call, "read_scalars", lambda s: reads.append(len(s)) or [0.5])
    run = static_run(TeaCache(0.25), facts=READ)
    sample(run, split(*[1.0] * 5), sigmas=[0.5] * 5)
    assert reads == [1] * 5


# Branches


def test_separate_branches_go_by_their_own_ratios():
    policy = mag(0.3, cond=0.9, uncond=0.999)
    for kind, uncond in ((split, "CRRRRRRRRRRR"), (batched, ERROR_03)):
        run = static_run(policy, cfg_mode="separate")
        sample(run, kind(*[1.0] * STEPS), model=BlindModel())
        assert pattern(run) == ERROR_03
        assert pattern(run, "uncond") == uncond
        assert plan(run) == ERROR_03


def test_branches_that_decide_together_go_by_the_ratios_of_cond():
    policy = mag(0.3, cond=0.999, uncond=0.5)
    for kind in EVERY_SCRIPT.values():
        for names in (("cond", "uncond"), ("uncond", "cond")):
            run = static_run(policy)
            sample(run, kind(*[1.0] * STEPS, names=names), model=BlindModel())
            assert pattern(run) == pattern(run, "uncond") == "CRRRRRRRRRRR"


def test_a_branch_that_is_computed_with_another_starts_anew():
    """In one batch with cond, uncond would have been reused for longer, but was computed."""
    run = static_run(mag(0.3, cond=0.9, uncond=0.97), cfg_mode="separate")
    sample(run, batched(*[1.0] * STEPS), model=BlindModel())
    uncond = [r for r in run.trace.records if r.branch == "uncond"]
    errors = [round(r.metric, 6) for r in uncond if r.metric is not None]
    assert errors[:6] == [0.03, 0.0891, 0.176427, 0.03, 0.0891, 0.176427]
    assert [r.reason.value for r in uncond][3] == "batched with a computed branch"


@pytest.mark.parametrize("cfg_mode", ["cond", "separate"])
def test_one_branch_alone_and_a_third_are_served_too(cfg_mode):
    alone = static_run(mag(0.3), cfg_mode=cfg_mode)
    sample(alone, batched(*[1.0] * STEPS, names=("uncond",)), model=BlindModel())
    assert pattern(alone, "uncond") == ERROR_03
    three = static_run(mag(0.3, uncond=0.9), cfg_mode=cfg_mode)
    script = split(*[1.0] * STEPS, names=("cond", "uncond", "third"))
    sample(three, script, model=BlindModel())
    assert pattern(three) == pattern(three, "uncond") == pattern(three, "cond 3") == ERROR_03


def test_a_branch_that_appears_late_is_computed_and_then_both_are_once_more():
    """Guidance that starts half-way: cond was reused there, so the two are of different age."""
    run = static_run(TeaCache(9.0))
    late = [*batched(1.0, 1.0, 1.0, names=("cond",)), *split(*[1.0] * 3)]
    values = sample(run, late, model=BlindModel())
    assert (pattern(run), pattern(run, "uncond")) == ("CRRRCR", "CCR")
    assert run.trace.failsafes() == {"no history": 3}
    assert values[3] == [[1.0], [2.0]] and values[4] == values[5] == [[3.0], [4.0]]


# Several methods


def test_the_first_method_that_reuses_wins():
    run = static_run(TeaCache(0.15), mag(0.3), embed=STEADY)
    sample(run, batched(*[1.0] * STEPS), model=BlindModel())
    used = [r.method for r in run.trace.records if r.branch == "cond"]
    assert used[:4] == [None, "TeaCache", "MagCache", None]
    assert (plan(run, 0), plan(run, 1)) == ("CR" * 6, ERROR_03)
    assert pattern(run) == ERROR_03


F, T = "FBCache", "TeaCache"


@pytest.mark.parametrize(
    ("fbcache_first", "expected"),
    [
        (True, [None, F, T, None, T, T, None, F, F, F]),
        (False, [None, T, T, None, T, T, None, T, T, F]),
    ],
)
def test_of_a_look_at_block_0_and_a_plan_the_first_that_reuses_wins(fbcache_first, expected):
    """Block 0 jumps until step 4; the sum of a third step is above the threshold."""
    policies = [FBCache(0.1, downsample=1), TeaCache(0.25)]
    run = static_run(*(policies if fbcache_first else policies[::-1]))
    sample(run, batched(1.0, 1.0, 5.0, 25.0, 125.0, 125.0, 125.0, 125.0, 125.0, 125.0))
    assert [r.method for r in run.trace.records if r.branch == "cond"] == expected
    assert not run.behind_block_0


def test_what_was_added_up_starts_anew_only_when_something_was_computed():
    """FBCache reuses all; TeaCache's sum goes on, and stays above its threshold."""
    run = static_run(TeaCache(0.25), FBCache(0.1, downsample=1))
    sample(run, batched(*[1.0] * 6))
    assert pattern(run) == "CRRRRR"
    used = [r.method for r in run.trace.records if r.branch == "cond"]
    assert used == [None, "TeaCache", "TeaCache", "FBCache", "FBCache", "FBCache"]
    jump = static_run(TeaCache(0.25), FBCache(0.1, downsample=1))
    sample(jump, batched(1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0))
    used = [r.method for r in jump.trace.records if r.branch == "cond"]
    assert used == [None, "TeaCache", "TeaCache", None, "TeaCache", "TeaCache", "FBCache"]


def test_a_sum_above_the_threshold_goes_on_while_others_reuse():
    """A vote to compute is no computation: what came before it still counts."""
    slower = changing(0.1, 0.1, 0.1, 0.01, 0.01, 0.01)
    run = static_run(TeaCache(0.25), FBCache(0.1, downsample=1), embed=slower, steps=6)
    sample(run, batched(*[1.0] * 6))
    used = [r.method for r in run.trace.records if r.branch == "cond"]
    assert used == [None, T, T, F, F, F]


def test_each_method_keeps_its_own_guards():
    late = Method(TeaCache(9.0), GuardDefaults(0.5, 0, None))
    early = Method(mag(9.0), FREE)
    config = CacheConfig(TOY, (late, early), Options(last_steps=1))
    run = quiet(Run(config, Schedule.of(even(STEPS)), lambda p: 1 - p, COUNTED))
    run.prepare(STEADY)
    sample(run, batched(*[1.0] * STEPS), model=BlindModel())
    used = [r.method for r in run.trace.records if r.branch == "cond"]
    assert used == [None, *["MagCache"] * 5, *["TeaCache"] * 5, None]
    assert (plan(run, 0), plan(run, 1)) == ("CCCCCCRRRRRC", "CRRRRRRRRRRC")


# Failures


def broken(sigmas, signal):
    """A time embedding that cannot be had."""
    raise RuntimeError("no such layer")


@pytest.mark.parametrize("kind", EVERY_SCRIPT)
@pytest.mark.parametrize("facts", [COUNTED, READ], ids=["counted", "read"])
def test_without_the_signal_everything_is_computed_and_the_failure_counted_once(kind, facts):
    run = static_run(TeaCache(9.0), facts=facts, embed=broken)
    model = BlindModel()
    values = sample(run, EVERY_SCRIPT[kind](*[1.0] * STEPS), model=model)
    assert pattern(run) == pattern(run, "uncond") == "C" * STEPS
    assert len(values) == STEPS
    assert run.trace.errors == 1 and run.trace.failsafes()["error"] == 1
    assert set(reasons(run)[1:]) == {"signal not known"}
    assert run.trace.summary()["peak_cache_bytes"] >= 0


def test_a_method_without_its_signal_leaves_the_others_alone():
    run = static_run(TeaCache(9.0), FBCache(0.1, downsample=1), embed=broken)
    sample(run, batched(*[1.0] * 5))
    assert [r.method for r in run.trace.records if r.branch == "cond"] == [None, *["FBCache"] * 4]
    assert run.trace.errors == 1


def test_static_methods_after_one_that_failed_still_plan():
    run = static_run(TeaCache(9.0), mag(0.3), embed=broken)
    sample(run, batched(*[1.0] * STEPS), model=BlindModel())
    assert pattern(run) == ERROR_03
    assert run.trace.errors == 1


def test_a_signal_that_is_no_number_is_computed_and_counted():
    nothing = torch.full((STEPS, 3), float("nan"))
    run = static_run(TeaCache(9.0), embed=lambda sigmas, signal: nothing)
    sample(run, batched(*[1.0] * STEPS), model=BlindModel())
    assert plan(run) == pattern(run) == "C" * STEPS
    assert run.trace.failsafes() == {"metric not finite": 2 * (STEPS - 1)}


def test_a_run_that_was_never_prepared_computes_everything():
    config = CacheConfig(TOY, (Method(TeaCache(9.0), FREE),))
    run = quiet(Run(config, Schedule.of(even(STEPS)), lambda p: 1 - p, COUNTED))
    sample(run, batched(*[1.0] * STEPS), model=BlindModel())
    assert pattern(run) == "C" * STEPS
    assert set(reasons(run)[1:]) == {"signal not known"}
    assert run.trace.methods[0].plan is None


def test_a_value_that_cannot_be_kept_costs_its_evaluation_only(monkeypatch):
    model, keep = BlindModel(), cache_core.call.keep

    def spoilt(*args):
        if model.full_runs == 3:
            raise RuntimeError("a defect")
        return keep(*args)

    monkeypatch.setattr(cache_core.call, "keep", spoilt)
    run = static_run(TeaCache(0.25))
    sample(run, batched(*[1.0] * STEPS), model=model)
    assert pattern(run) == "CRRCRRCCRRCR"
    assert run.trace.failsafes() == {"error": 1}
    assert reasons(run)[7] == "first evaluation"


def test_a_jump_of_the_input_is_computed():
    run = static_run(TeaCache(9.0))
    sample(run, [*batched(1.0, 1.0, 1.0), *batched(1.0, 1.0, tokens=7)], model=BlindModel())
    assert pattern(run) == "CRRCR"
    assert run.trace.failsafes() == {"changed input": 2}


# Lives


def test_nothing_learnt_survives_into_another_run():
    policies = (TeaCache(0.25), mag(0.3))
    first, second = (static_run(*policies) for _ in range(2))
    sample(first, batched(*[1.0] * 5))
    sample(second, batched(*[1.0] * STEPS))
    fresh = static_run(*policies)
    sample(fresh, batched(*[1.0] * STEPS))
    assert story(second) == story(fresh)
    assert [m.plan for m in second.trace.methods] == [m.plan for m in fresh.trace.methods]
    assert policies == (TeaCache(0.25), mag(0.3))


def test_a_closed_run_holds_nothing():
    run = static_run(TeaCache(0.25))
    sample(run, batched(*[1.0] * 5))
    held = 2 * BATCH * 4
    assert (run.store.nbytes, run.trace.peak_bytes) == (held, held)
    run.close()
    assert run.store.nbytes == 0 and not run.groups and run.evaluation is None


def test_a_run_that_failed_can_be_closed():
    run = static_run(TeaCache(0.25))
    sample(run, batched(1.0))
    with pytest.raises(AssertionError):
        run.begin(torch.tensor([0.9] * BATCH))
        raise AssertionError("interrupted")
    run.close()
    assert run.store.nbytes == 0


def test_calls_are_settled_before_the_model_is_asked():
    run = static_run(TeaCache(0.25))
    run.begin(torch.tensor([1.0] * BATCH))
    assert call_of(run, [Rows("cond")]).settled
    run.end()


def test_configurations_cannot_be_changed_by_a_run():
    run = static_run(TeaCache(0.25))
    with pytest.raises(FrozenInstanceError):
        run.config.options = Options()


# The words for plans


RANGES = [
    ([], ""), ([5], "5"), ([1, 2], "1-2"), ([1, 3], "1, 3"), ([1, 2, 3, 7, 9, 10], "1-3, 7, 9-10"),
    ([0, 1, 99, 100, 101, 103], "0-1, 99-101, 103"), ([2, 4, 6, 8], "2, 4, 6, 8"),
]  # fmt: skip


@pytest.mark.parametrize(("numbers", "words"), RANGES)
def test_neighbours_are_joined(numbers, words):
    assert ranges(numbers) == words


@settings(max_examples=40)
@given(st.sets(st.integers(0, 60)))
def test_ranges_can_be_read_back(numbers):
    parts = [part.split("-") for part in ranges(sorted(numbers)).split(", ") if part]
    read = [number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)]
    assert read == sorted(numbers)
    firsts = [int(part[0]) for part in parts]
    lasts = [int(part[-1]) for part in parts]
    assert all(later - earlier > 1 for earlier, later in zip(lasts, firsts[1:], strict=False))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("CCRRC", "computes 3 of 5 steps: 1-2, 5"),
        ("C" * 20, "computes 20 of 20 steps: 1-20"),
        ("C" + "R" * 11, "computes 1 of 12 steps: 1"),
        ("CRCRC", "computes 3 of 5 steps: 1, 3, 5"),
    ],
)
def test_plans_in_words_count_from_1(told, words):
    assert plan_text(told, len(told)) == words


def test_the_line_before_the_first_step_has_the_model_the_plans_and_what_was_noted():
    run = static_run(TeaCache(0.25), mag(0.3, most=1))
    assert plan_line(run.trace) == (
        f"{run.trace.model}"
        " | TeaCache custom computes 4 of 12 steps: 1, 4, 7, 10"
        " + MagCache custom computes 6 of 12 steps: 1, 3, 5, 7, 9, 11"
    )
    few = static_run(TeaCache(0.25), facts=RunFacts(steps=8.0, counted=True), on_few_steps="warn")
    assert plan_line(few.trace).endswith("1, 4, 7, 10 | 8 steps are fewer than 10: risky")
    assert plan_line(few.trace).isascii()


def test_methods_without_a_plan_are_not_in_that_line():
    run = static_run(FBCache(0.1, downsample=1), TeaCache(0.25))
    assert plan_line(run.trace).split(" | ")[1].startswith("TeaCache custom")
    assert plan_line(static_run(FBCache(0.1)).trace) == TOY.label


def test_assumptions_are_told_once():
    run = static_run(TeaCache(0.25), mag(0.3))
    assert assumptions(run.trace) == ""
    run.trace.note("about the run")
    run.trace.plans(0, "C", "C", ("shared", "tea"))
    run.trace.plans(1, "C", "C", ("shared", "mag"))
    assert assumptions(run.trace) == "about the run; shared; tea; mag"
    assert summary_line(run.trace).endswith(" | about the run; shared; tea; mag")
    text = node_text(run.trace.methods[1], run.trace)
    assert text.splitlines()[-1] == "about the run; shared; mag"


def test_the_numbers_of_a_static_method_are_told_without_its_curves():
    run = static_run(mag(0.3, most=4), TeaCache(0.25, "e"))
    shown = [method.settings for method in run.trace.methods]
    assert shown == [
        {"threshold": 0.3, "most_skips": 4},
        {"threshold": 0.25, "signal": "e", "fit": None},
    ]
    assert "E 0.3, K 4" in summary_line(run.trace)
    assert "raw change of e < 0.25" in summary_line(run.trace)
