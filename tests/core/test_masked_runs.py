"""Runs under a step mask, and alternating ones: what the options say is what happens."""

import math

import pytest
import torch
from flow import Flow, Planned, flow_run, random_latent
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import batched, make_run, pattern, sample, split, story

from cache_core import FBCache, RunFacts, TeaCache
from cache_core.adacache import AdaCache
from cache_core.config import GuardDefaults
from cache_core.decision import Reason
from cache_core.easycache import EasyCache
from cache_core.interval import Interval
from cache_core.magcache import Curve, MagCache

STEPS = 12
SIGMAS = torch.linspace(1, 0, STEPS + 1).tolist()
WHOLE = RunFacts(steps=float(STEPS), counted=True, corrects=True)
MASK = "1001 0001 0010"
GUARDED = GuardDefaults(0.25, 2, 1)
"""First 3 and last 2 of 12 computed, one reused in a row."""
FLAT = Curve((1.0, 0.0), ((1.0, 1.0),))
WILLING = {
    "FBCache": FBCache(1.0, downsample=1),
    "TeaCache": TeaCache(10.0),
    "MagCache": MagCache(10.0, 100, FLAT),
    "TaylorSeer": Interval(100),
    "AdaCache": AdaCache(((1e9, 100),), downsample=1),
    "EasyCache": EasyCache(10.0),
}
UNWILLING = {
    "FBCache": FBCache(0.0, downsample=1),
    "TeaCache": TeaCache(0.0),
    "MagCache": MagCache(0.0, 0, FLAT),
    "TaylorSeer": Interval(1),
    "AdaCache": AdaCache(((1e9, 1),), downsample=1),
    "EasyCache": EasyCache(0.0),
}
NAMES = list(WILLING)


def run_of(*policies, guards=GUARDED, names=("cond", "uncond"), split=False, **options):
    """A run over 12 steps of a velocity that changes with the noise."""
    told = {"facts": WHOLE, **options}
    run = flow_run(*policies, sigmas=SIGMAS, guards=guards, **told)
    flow = Flow(run, lambda x, s, name: (0.3 + s) * x + len(name), names, split)
    flow.sample(random_latent())
    return run


def actions(run, branch="cond"):
    records = [record for record in run.trace.records if record.branch == branch]
    return "".join("R" if record.action.value == "reuse" else "C" for record in records)


def reasons(run, branch="cond"):
    return [record.reason for record in run.trace.records if record.branch == branch]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("policies", [WILLING, UNWILLING], ids=["willing", "unwilling"])
@pytest.mark.parametrize("is_split", [False, True], ids=["batched", "split"])
def test_a_mask_replaces_verdict_and_guards_of_every_method(name, policies, is_split):
    run = run_of(policies[name], step_mask=MASK, split=is_split)
    assert actions(run) == actions(run, "uncond") == "CRRCRRRCRRCR"
    assert set(reasons(run)) == {Reason.MASK}
    assert {r.method for r in run.trace.records} == {None, name}
    assert run.trace.errors == 0 and run.trace.failsafes() == {}


@pytest.mark.parametrize("name", NAMES)
def test_where_a_mask_leaves_it_open_the_method_and_its_guards_decide(name):
    """The preset's guards: first 3 and last 2 computed, one in a row."""
    free = run_of(WILLING[name], step_mask="............")
    assert actions(free) == actions(run_of(WILLING[name]))
    assert "RC" * 3 in actions(free)
    mixed = run_of(WILLING[name], step_mask="1... ..11 0...")
    assert actions(mixed) == "CCCRCRCCRCCC"
    assert [reasons(mixed)[step] for step in (0, 2, 3, 6, 8, 10)] == [
        Reason.MASK, Reason.WARM_UP, Reason.BELOW_THRESHOLD, Reason.MASK, Reason.MASK,
        Reason.LAST_STEPS,
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_ranges_name_the_steps_to_compute(name):
    assert actions(run_of(WILLING[name], step_mask="1-3, 7, 12")) == "CCCRRRCRRRRC"


def test_the_window_and_the_first_evaluation_stand():
    run = run_of(WILLING["TeaCache"], step_mask="0" * STEPS, start_percent=0.3, end_percent=0.8)
    assert actions(run) == "C" * 4 + "R" * 6 + "CC"
    assert reasons(run)[0] is Reason.OUTSIDE_WINDOW
    run = run_of(WILLING["TeaCache"], step_mask="0" * STEPS)
    assert actions(run) == "C" + "R" * 11 and reasons(run)[0] is Reason.FIRST


def test_a_forced_reuse_tells_what_was_measured():
    script = batched(1.0, 3.0, 1.5, 1.0)
    run = make_run(FBCache(0.1, downsample=1), steps=4, step_mask="1011")
    sample(run, script)
    metrics = [record.metric for record in run.trace.records if record.branch == "cond"]
    assert metrics == [None, pytest.approx(2.0), pytest.approx(0.5), pytest.approx(1 / 3)]
    assert story(run)[1] == "cond reuse (step mask), uncond reuse (step mask)"


def test_change_is_still_measured_since_the_last_computed_step():
    run = make_run(FBCache(0.1, downsample=1), steps=5, step_mask="10..1")
    sample(run, batched(1.0, 5.0, 5.0, 5.1, 5.0))
    assert pattern(run) == "CRCRC"


@pytest.mark.parametrize("make", [batched, split], ids=["batched", "split"])
def test_failsafes_stand(make):
    run = make_run(steps=7, step_mask="1000000")
    script = make(1.0, 1.0, math.nan, 1.0, 1.0, 1.0, 1.0)
    script[5] = make(1.0, tokens=9)[0]
    sample(run, script)
    cond = [line.split(", ")[0] for line in story(run)]
    assert cond == [
        "cond compute (step mask)",
        "cond reuse (step mask)",
        *["cond compute (metric not finite)"] * 2,
        "cond reuse (step mask)",
        *["cond compute (changed input)"] * 2,
    ]
    assert run.trace.errors == 0


def test_a_branch_without_history_is_computed():
    run = make_run(steps=3, step_mask="100")
    sample(run, [*batched(1.0, names=("cond",)), *batched(1.0, 1.0)])
    assert story(run)[1].endswith("uncond compute (no history)")


def test_few_steps_stay_uncached():
    facts = RunFacts(steps=6.0, counted=True)
    run = flow_run(WILLING["TeaCache"], sigmas=SIGMAS[:7], facts=facts, step_mask="100000")
    Flow(run, lambda x, s, name: x).sample(random_latent())
    assert actions(run) == "C" * 6
    allowed = flow_run(
        WILLING["TeaCache"], sigmas=SIGMAS[:7], facts=facts, step_mask="100000",
        on_few_steps="allow",
    )  # fmt: skip
    Flow(allowed, lambda x, s, name: x).sample(random_latent())
    assert actions(allowed) == "CRRRRR"


@pytest.mark.parametrize("name", ["TeaCache", "MagCache", "TaylorSeer"])
@settings(max_examples=25, deadline=None)
@given(letters=st.text("10.", min_size=STEPS, max_size=STEPS), willing=st.booleans())
def test_the_plan_of_a_static_method_is_what_happens(name, letters, willing):
    policy = (WILLING if willing else UNWILLING)[name]
    run = run_of(policy, step_mask=letters)
    assert run.trace.methods[0].plan == actions(run)
    for step, letter in enumerate(letters):
        forced = {"1": "C", "0": "R" if step else "C"}.get(letter)
        assert forced in (None, actions(run)[step])


def test_in_a_chain_the_first_method_leads_and_each_step_says_who_decided():
    made = [Planned("C" * STEPS, "First"), Planned("CRCRCRCRCRCR", "Second")]
    run = run_of(*made, guards=GuardDefaults(0, 0, None), step_mask="1... 0... 1.0.")
    assert actions(run) == "CRCRRRCRCRRR"
    methods = [record.method for record in run.trace.records if record.branch == "cond"]
    assert methods == [
        None, "Second", None, "Second", "First", "Second", None, "Second", None, "Second",
        "First", "Second",
    ]  # fmt: skip


def test_a_mask_for_another_schedule_computes_everything_and_says_so():
    run = run_of(WILLING["TeaCache"], step_mask="10100")
    assert actions(run) == "C" * STEPS and set(reasons(run)) == {Reason.MASK}
    assert ["5 letters" in note for note in run.trace.notes] == [True]
    assert run.trace.methods[0].plan is None or "R" not in run.trace.methods[0].plan


@pytest.mark.parametrize(("first", "expected"), [(0, "CRRCRR"), (6, "RCRRCR")])
def test_half_a_sampling_takes_its_half_of_the_mask(first, expected):
    sigmas = SIGMAS[first : first + 7]
    run = flow_run(WILLING["TeaCache"], sigmas=sigmas, facts=WHOLE, step_mask=MASK)
    Flow(run, lambda x, s, name: x).sample(random_latent())
    computed_first = "C" + expected[1:]
    assert actions(run) == computed_first
    assert f"steps {first + 1} to {first + 6} of 12" in run.trace.notes[0]


def test_the_numbers_in_force_show_the_mask():
    run = run_of(WILLING["TeaCache"], step_mask=MASK)
    assert "step mask 100100010010" in run.trace.methods[0].numbers


# Alternating


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("most", [None, 3])
def test_alternating_never_reuses_two_in_a_row(name, most):
    run = run_of(WILLING[name], guards=GuardDefaults(0.0, 0, most), alternating=True)
    assert "RR" not in actions(run) and "CRCRCRCR" in actions(run)
    assert Reason.MAX_SKIPS in reasons(run)


def test_alternating_leaves_a_limit_of_none_in_a_row_in_place():
    never = run_of(WILLING["TeaCache"], alternating=True, max_consecutive_skips=0)
    assert actions(never) == "C" * STEPS
    one = run_of(WILLING["TeaCache"], alternating=True, max_consecutive_skips=1)
    assert actions(one) == actions(run_of(WILLING["TeaCache"], max_consecutive_skips=1))
