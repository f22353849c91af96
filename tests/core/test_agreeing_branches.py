"""cfg_mode all: a branch that computes makes the others compute."""

from math import isnan

import pytest
import torch
from flow import Flow, Planned, flow_run, random_latent
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Rows, make_run, sample, split, story

from cache_core import RunFacts, TeaCache
from cache_core.decision import Reason
from cache_core.magcache import Curve, MagCache
from cache_core.timetable import Timetable
from cache_core.unanimous import Unanimous

FIRST = "cond compute (first evaluation), uncond compute (first evaluation)"
STILL = [Rows("cond", 1.0)], [Rows("uncond", 1.0)]
MOVED = {"cond": [Rows("cond", 9.0)], "uncond": [Rows("uncond", 9.0)]}
SIGMAS = torch.linspace(1, 0, 13).tolist()


def told(script, cfg_mode="all", **options):
    run = make_run(cfg_mode=cfg_mode, **options)
    sample(run, script)
    return story(run)


def test_a_later_call_follows_an_earlier_one_that_computes():
    script = [[*STILL], [MOVED["cond"], STILL[1]]]
    assert told(script)[1] == (
        "cond compute (above threshold), uncond compute (batched with a computed branch)"
    )
    assert told(script, "separate")[1].endswith("uncond reuse (below threshold)")


def test_an_earlier_call_that_reused_is_not_undone():
    script = [[*STILL], [STILL[0], MOVED["uncond"]]]
    assert told(script)[1] == "cond reuse (below threshold), uncond compute (above threshold)"


@pytest.mark.parametrize("moved", ["cond", "uncond"])
def test_in_one_batch_they_agree(moved):
    rows = [Rows(name, 9.0 if name == moved else 1.0) for name in ("cond", "uncond")]
    line = told([[[*STILL[0], *STILL[1]]], [rows]])[1]
    assert line.count("compute") == 2 + line.count("computed") and "reuse" not in line


def test_where_all_agree_all_reuse():
    assert told(split(1.0, 1.0))[1] == (
        "cond reuse (below threshold), uncond reuse (below threshold)"
    )


def test_context_windows_do_not_follow_each_other():
    def window(number, feature):
        return [Rows("cond", feature, window=number)], [Rows("uncond", feature, window=number)]

    script = [[*window(0, 1.0), *window(1, 1.0)], [*window(0, 9.0), *window(1, 1.0)]]
    last = told(script)[1].split(", ")
    assert ["compute (" in line for line in last] == [True, True, False, False]


# Static methods


def curve(cond, uncond):
    ratios = tuple((1.0, *[ratio] * (len(SIGMAS) - 2)) for ratio in (cond, uncond))
    return Curve(tuple(SIGMAS[:-1]), ratios)


def actions(run, branch):
    records = [record for record in run.trace.records if record.branch == branch]
    return "".join("R" if record.action.value == "reuse" else "C" for record in records)


def static_run(policy, is_split=True, names=("cond", "uncond"), **options):
    facts = RunFacts(steps=12.0, counted=True)
    run = flow_run(policy, sigmas=SIGMAS, facts=facts, **options)
    Flow(run, lambda x, s, name: x, names, is_split).sample(random_latent())
    return run


def naive(ratios, threshold, most):
    """MagCache on several branches at once: all or none reuse."""
    plan, states = "C", [(1.0, 0.0, 0) for _ in ratios]
    for _ in range(len(SIGMAS) - 2):
        after = []
        for ratio, (product, error, steps) in zip(ratios, states, strict=True):
            now = product * ratio
            after.append((now, error + abs(1 - now), steps + 1))
        reuse = all(error < threshold and steps <= most for _, error, steps in after)
        plan += "R" if reuse else "C"
        states = after if reuse else [(1.0, 0.0, 0) for _ in ratios]
    return plan


@pytest.mark.parametrize("is_split", [False, True], ids=["batched", "split"])
@pytest.mark.parametrize("names", [("cond", "uncond"), ("uncond", "cond")], ids="-".join)
@settings(max_examples=20, deadline=None)
@given(
    cond=st.floats(0.8, 1.0), uncond=st.floats(0.8, 1.0), threshold=st.sampled_from([0.1, 0.3, 2.0])
)
def test_branches_of_static_methods_agree_in_advance(is_split, names, cond, uncond, threshold):
    policy = MagCache(threshold, 4, curve(cond, uncond))
    run = static_run(policy, is_split, names, cfg_mode="all")
    expected = naive([cond, uncond], threshold, 4)
    assert actions(run, "cond") == actions(run, "uncond") == expected
    assert run.trace.methods[0].plan == expected
    assert Reason.JOINED not in {record.reason for record in run.trace.records}


def test_separate_branches_of_the_same_method_do_not_agree():
    run = static_run(MagCache(0.3, 9, curve(0.99, 0.9)), cfg_mode="separate")
    assert actions(run, "cond") != actions(run, "uncond")


def test_one_row_of_distances_serves_every_branch():
    run = static_run(TeaCache(0.1), cfg_mode="all")
    assert actions(run, "cond") == actions(run, "uncond")
    assert isinstance(run.policies[0], TeaCache)


def test_the_metric_is_that_of_the_branch_that_decides():
    run = static_run(MagCache(0.3, 9, curve(0.99, 0.9)), cfg_mode="all")
    lone = static_run(MagCache(0.3, 9, curve(0.9, 0.9)), cfg_mode="all")
    assert [r.metric for r in run.trace.records] == [r.metric for r in lone.trace.records]


@pytest.mark.parametrize("rows", [((0.0, 1.0), (0.0, 0.0)), ((0.0, 0.0), (0.0, 1.0))])
def test_one_that_computes_overrules_those_that_measured_more(rows):
    unanimous = Unanimous(Planned("CR"), Timetable(rows))
    verdict, _ = unanimous.judge(unanimous.start(), 1.0)
    assert (verdict.reuse, verdict.metric) == (False, 0.0)


def test_a_step_without_a_distance_in_some_branch_has_none():
    table = Timetable(((0.0, 1.0, float("nan")), (0.0, 2.0, 3.0)), ("said",))
    unanimous = Unanimous(MagCache(0.3, 9, curve(1.0, 1.0)), table)
    (row,) = unanimous.timetable(None).rows
    assert row[:2] == (0.0, 1.0) and isnan(row[2])
