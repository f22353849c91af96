"""Samplings with so few steps that there is little to reuse and much to lose."""

import pytest
import torch
from toy import FREE, TOY, ToyModel, batched, pattern, sample, split

from cache_core import CacheConfig, FBCache, Method, Options, Run, RunFacts, Schedule, TeaCache
from cache_core.few_steps import too_few
from cache_core.report import node_text, plan_line, summary_line

FEW = [  # steps of the whole schedule, CFG -> too few, or not
    (None, None, False), (None, 1.0, False),
    (1, 6.0, True), (4, None, True), (8, 5.0, True), (9, 5.0, True), (9.4, 5.0, True),
    (9.6, 5.0, False), (10, 5.0, False), (10, None, False), (20, 5.0, False), (50, None, False),
    (4, 1.0, True), (9, 1.0, True), (10, 1.0, True), (12, 1.0, True), (12.4, 1.0, True),
    (12.6, 1.0, False), (13, 1.0, False), (20, 1.0, False),
    (12, 1.01, False), (12, 0.99, False), (10, 0.0, False),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "cfg", "expected"), FEW)
def test_few_steps_by_the_whole_schedule_and_guidance(steps, cfg, expected):
    assert (too_few(RunFacts(steps=steps, cfg=cfg)) is not None) == expected


def test_the_reason_names_the_steps_and_what_is_enough():
    assert too_few(RunFacts(steps=8.0)) == "8 steps are fewer than 10"
    distilled = too_few(RunFacts(steps=11.8, cfg=1.0))
    assert distilled == "12 steps at CFG 1 are those of a distilled model"


@pytest.mark.parametrize("first_sigma", [1.0, 0.9])
def test_half_of_a_pairs_schedule_is_not_a_short_one(first_sigma):
    """Ten of twenty steps, or eight: what counts is the schedule they are a part of."""
    half = RunFacts(first_sigma=first_sigma, last_sigma=0.5, steps=20.0, cfg=3.5)
    assert too_few(half) is None


class BlindModel(ToyModel):
    """A model whose block 0 nobody may look at."""

    def block_0(self, rows):
        raise AssertionError("block 0 was observed")


METHODS = {
    "static": (TeaCache(9.0),),
    "dynamic": (FBCache(1.0, downsample=1),),
    "both": (TeaCache(9.0), FBCache(1.0, downsample=1)),
}


def short_run(policies, facts=None, steps=8, **options):
    """A prepared run of eight steps which any policy would reuse."""
    schedule = Schedule.of(torch.linspace(1, 0, steps + 1).tolist())
    methods = tuple(Method(policy, FREE) for policy in policies)
    facts = facts or RunFacts(steps=float(steps), counted=True)
    run = Run(CacheConfig(TOY, methods, Options(**options)), schedule, lambda p: 1 - p, facts)
    run.shield(lambda: run.prepare(lambda sigmas, signal: torch.ones(len(sigmas), 2)))
    return run


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("script", [batched(*[1.0] * 8), split(*[1.0] * 8)])
@pytest.mark.parametrize("policies", METHODS.values(), ids=METHODS.keys())
def test_by_default_everything_is_computed_and_nothing_kept(policies, script, counted):
    run = short_run(policies, RunFacts(steps=8.0, counted=counted))
    model = BlindModel()
    sample(run, script, model=model)
    assert model.full_runs == sum(map(len, script))
    assert {record.reason.value for record in run.trace.records} == {"too few steps"}
    assert pattern(run) == pattern(run, "uncond") == "C" * 8
    assert (run.store.nbytes, run.trace.peak_bytes) == (0, 0)
    assert run.trace.failsafes() == {}


@pytest.mark.parametrize("policies", METHODS.values(), ids=METHODS.keys())
def test_off_is_said_before_and_after(policies):
    run = short_run(policies)
    told = "8 steps are fewer than 10: everything is computed"
    assert run.trace.notes == [told]
    assert all(method.plan is None for method in run.trace.methods)
    sample(run, batched(*[1.0] * 8))
    for text in (
        plan_line(run.trace),
        summary_line(run.trace),
        node_text(run.trace.methods[0], run.trace),
    ):
        assert told in text
    assert run.trace.as_json()["notes"] == [told]


@pytest.mark.parametrize(
    ("wish", "notes"), [("warn", ["8 steps are fewer than 10: risky"]), ("allow", [])]
)
@pytest.mark.parametrize("policies", METHODS.values(), ids=METHODS.keys())
def test_warn_and_allow_reuse_as_ever(policies, wish, notes):
    run = short_run(policies, on_few_steps=wish)
    sample(run, batched(*[1.0] * 8))
    assert pattern(run) == "CRRRRRRR"
    assert run.trace.notes == notes
    assert run.trace.peak_bytes > 0


@pytest.mark.parametrize("wish", ["off", "warn", "allow"])
@pytest.mark.parametrize(
    "facts", [RunFacts(counted=True), RunFacts(steps=16.0, last_sigma=0.5, counted=True)]
)
def test_enough_steps_or_a_schedule_nobody_knows_are_left_alone(facts, wish):
    run = short_run(METHODS["static"], facts, on_few_steps=wish)
    sample(run, batched(*[1.0] * 8))
    assert pattern(run) == "CRRRRRRR"
    assert run.trace.notes == []


def test_a_distilled_model_is_told_by_its_guidance():
    distilled = short_run(METHODS["static"], RunFacts(steps=12.0, cfg=1.0, counted=True), steps=12)
    sample(distilled, batched(*[1.0] * 12))
    assert pattern(distilled) == "C" * 12
    guided = short_run(METHODS["static"], RunFacts(steps=12.0, cfg=5.0, counted=True), steps=12)
    sample(guided, batched(*[1.0] * 12))
    assert pattern(guided) == "C" + "R" * 11


def test_nothing_is_asked_of_the_model_when_everything_is_computed():
    def unwanted(sigmas, signal):
        raise AssertionError("the time embedding was computed")

    run = short_run(METHODS["static"])
    idle = Run(
        CacheConfig(TOY, (Method(TeaCache(9.0), FREE),)),
        run.schedule,
        lambda p: 1 - p,
        RunFacts(steps=8.0),
    )
    idle.prepare(unwanted)
    assert idle.timetables == {}
