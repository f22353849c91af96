"""Samplers that evaluate the model several times a step: where, and what is planned for it."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy import FREE, TOY, batched, pattern, quiet, sample

from cache_core import CacheConfig, FBCache, Method, Options, Run, RunFacts, Schedule, TeaCache
from cache_core.plans import by_step
from cache_core.report import plan_line
from cache_core.schedule import Course, Position, Stage
from cache_core.weights import abscissa

FALLING = Schedule.of([1.0, 0.8, 0.5, 0.2, 0.0])


def staged(steps, *ahead):
    """Stages of a sampler over a schedule that ends at sigma 0, where it does not evaluate."""
    whole = [Stage(step, a) for step in range(steps - 1) for a in ahead if step + a < steps]
    return (*whole, Stage(steps - 1))


HEUN, MIDDLE, THREE = (0.0, 1.0), (0.0, 0.5), (0.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("stage", "level"),
    [
        (Stage(0), 1.0),
        (Stage(1), 0.8),
        (Stage(0, 1.0), 0.8),
        (Stage(1, 0.5), 0.65),
        (Stage(1, 2.0), 0.2),
        (Stage(3, 0.5), 0.1),
        (Stage(3, 1.0), 0.0),
        (Stage(3, 2.0), 0.0),
    ],
)
def test_the_noise_level_of_a_stage_lies_on_the_line_between_the_points(stage, level):
    assert FALLING.level(stage) == pytest.approx(level)
    assert FALLING.fits(stage, FALLING.level(stage))


FITS = [  # stage, sigma, can it be
    (Stage(0), 0.9985, True),  # samplers that cannot start at 1
    (Stage(0), 0.99, False),
    (Stage(1), 0.8, True),
    (Stage(1), 0.79, False),
    (Stage(0, 1.0), 0.8, True),
    (Stage(0, 1.0), 0.9, False),
    (Stage(0, 0.5), 0.99, True),
    (Stage(0, 0.5), 0.81, True),
    (Stage(1, 0.5), 0.81, False),
    (Stage(1, 0.5), 0.1, False),
    (Stage(1), float("nan"), False),
    (Stage(1, 0.5), float("nan"), False),
]


@pytest.mark.parametrize(("stage", "sigma", "expected"), FITS)
def test_an_evaluation_is_the_stage_that_it_can_be(stage, sigma, expected):
    assert FALLING.fits(stage, sigma) is expected


@given(st.integers(2, 30), st.sampled_from([HEUN, MIDDLE, THREE, (0.0, 1 / 3, 2 / 3)]))
def test_evaluations_of_a_known_sampler_are_counted_into_their_steps(steps, ahead):
    schedule = Schedule.of(torch.linspace(1, 0, steps + 1).tolist())
    course = Course(schedule, staged(steps, *ahead))
    expected = course.expected()
    assert [course.locate(at.evaluation, at.sigma) for at in expected] == expected
    assert [at.step for at in expected] == sorted(at.step for at in expected)
    assert {at.step for at in expected} == set(range(steps))


def test_of_a_sampler_that_nobody_knows_one_evaluation_a_step_is_expected():
    expected = Course(FALLING).expected()
    assert expected == [Position(i, i, sigma) for i, sigma in enumerate(FALLING.sigmas[:-1])]


def test_a_plan_of_evaluations_is_told_by_step_too():
    expected = Course(FALLING, staged(4, *HEUN)).expected()
    assert by_step("CCRRRCR", expected, 4) == "CRCR"


def test_one_that_evaluates_elsewhere_than_expected_is_known_no_more():
    course = Course(FALLING, staged(4, *HEUN))
    found = [course.locate(i, s).step for i, s in enumerate((1.0, 0.8, 0.65, 0.8, 0.5, 0.5))]
    assert found == [0, 0, 1, 1, 2, 2]  # the last four by their noise level
    assert course.stages == ()


def test_evaluations_beyond_the_last_stage_are_found_by_their_noise_level():
    course = Course(FALLING, staged(4, *HEUN))
    for i, at in enumerate(course.expected()):
        course.locate(i, at.sigma)
    assert course.locate(7, 0.1) == Position(7, 3, 0.1)


def test_counted_in_steps_an_evaluation_lies_as_far_ahead_as_its_noise_level():
    at_the_end, next_start = Position(1, 0, 0.8, 1.0), Position(2, 1, 0.8)
    for axis in ("step", "sigma", "logsnr"):
        assert abscissa(axis, at_the_end) == abscissa(axis, next_start)
    assert abscissa("step", Position(1, 3, 0.7, 0.5)) == 3.5


STEPS = 12


def staged_run(policy, ahead, **options):
    """A prepared run of a sampler with these stages over an even schedule."""
    schedule = Schedule.of(torch.linspace(1, 0, STEPS + 1).tolist())
    facts = RunFacts(steps=float(STEPS), stages=staged(STEPS, *ahead))
    told = Options(**{"forecast": "hold", **options})
    run = Run(CacheConfig(TOY, (Method(policy, FREE),), told), schedule, lambda p: 1 - p, facts)
    growing = torch.cumprod(torch.full((STEPS,), 1.1), 0)[:, None]
    run.prepare(lambda sigmas, signal: growing[: len(sigmas)])
    return quiet(run)


def sampled(run):
    """A whole sampling, evaluated where the stages are."""
    expected = run.course.expected()
    sample(run, batched(*[1.0] * len(expected)), sigmas=[at.sigma for at in expected])
    return expected


GUARDED = [
    {},
    {"warmup_steps": 3},
    {"last_steps": 2},
    {"max_consecutive_skips": 1},
    {"start_percent": 0.25, "end_percent": 0.75},
    {"step_mask": "1101.0111001"},
    {"step_mask": "1-4, 7"},
]


@pytest.mark.parametrize("options", GUARDED, ids=str)
@pytest.mark.parametrize("threshold", [0.05, 0.15, 0.25, 9.0])
@pytest.mark.parametrize("ahead", [HEUN, MIDDLE, THREE], ids=["heun", "middle", "three"])
def test_every_evaluation_is_planned_and_the_plan_is_what_happens(ahead, threshold, options):
    run = staged_run(TeaCache(threshold), ahead, **options)
    plan = run.trace.methods[0].plan
    expected = sampled(run)
    assert pattern(run) == pattern(run, "uncond") == plan
    assert [r.step for r in run.trace.records[::2]] == [at.step for at in expected]
    assert run.trace.failsafes() == {} and run.trace.notes == []


def test_guards_hold_for_all_evaluations_of_a_step():
    run = staged_run(TeaCache(9.0), HEUN, warmup_steps=3, last_steps=2)
    sampled(run)
    assert pattern(run) == "CC" * 3 + "RR" * 7 + "CC" + "C"


def test_the_first_reuse_after_a_warm_up_is_at_the_noise_level_just_computed():
    """Heun evaluates where a step ends and where the next one starts: that one comes for free."""
    run = staged_run(TeaCache(0.15), HEUN, warmup_steps=3)
    sampled(run)
    found = [r for r in run.trace.records if r.branch == "cond"]
    reused = [(one, two) for one, two in pairwise(found) if two.method]
    assert reused and all(one.sigma == two.sigma and not one.method for one, two in reused)


def test_the_line_before_the_first_step_counts_evaluations():
    run = staged_run(TeaCache(9.0), HEUN, warmup_steps=2, last_steps=1)
    assert plan_line(run.trace).endswith("computes 5 of 23 evaluations in 12 steps: 1-4, 23")


def test_of_a_sampler_that_nobody_knows_it_says_so():
    schedule = Schedule.of(torch.linspace(1, 0, STEPS + 1).tolist())
    config = CacheConfig(TOY, (Method(TeaCache(9.0), FREE),))
    run = Run(config, schedule, lambda p: 1 - p, RunFacts(steps=float(STEPS)))
    run.prepare(lambda sigmas, signal: torch.ones(len(sigmas), 1))
    assert "if this sampler makes more, each is decided by itself" in plan_line(run.trace)


@pytest.mark.parametrize("policy", [TeaCache(9.0), FBCache(1.0, downsample=1)])
def test_a_sampler_that_compares_its_results_gets_computed_ones(policy):
    schedule = Schedule.of(torch.linspace(1, 0, STEPS + 1).tolist())
    config = CacheConfig(TOY, (Method(policy, FREE),), Options(on_few_steps="allow"))
    facts = RunFacts(steps=float(STEPS), adaptive=True)
    run = quiet(Run(config, schedule, lambda p: 1 - p, facts))
    run.prepare(lambda sigmas, signal: torch.ones(len(sigmas), 1))
    sample(run, batched(*[1.0] * STEPS))
    assert pattern(run) == "C" * STEPS
    assert {record.reason.value for record in run.trace.records} == {"adaptive sampler"}
    assert run.trace.peak_bytes == 0
    assert run.trace.notes == [
        "this sampler chooses its steps by comparing results: everything is computed"
    ]
