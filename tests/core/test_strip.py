"""Several samplings on one axis: cells, curves and what they are compared with."""

from dataclasses import replace

import pytest
from toy import make_run, sample, split

from cache_core import FBCache
from cache_core.cfgcache import CFGCache
from cache_core.decision import FAILSAFES, Action, Reason
from cache_core.letters import WORDS, letter_of, most
from cache_core.strip import Limit, Point, strip_of
from cache_core.trace import MethodInForce, Record, Trace

FBCACHE = MethodInForce("FBCache", "balanced", "", "ours", {"threshold": 0.1}, "7")
TEACACHE = MethodInForce("TeaCache", "fast", "", "ours", {"threshold": 0.2}, "8")
SEER = MethodInForce("TaylorSeer", "fast", "", "ours", {"interval": 3}, "9")
ADA = MethodInForce("AdaCache", "fast", "", "ours", {}, "10")
ONE = Record(0, 0, 1.0, "cond", Action.COMPUTE, Reason.ABOVE_THRESHOLD, None, 0.3, 0.5)
REUSED = replace(ONE, action=Action.REUSE, reason=Reason.BELOW_THRESHOLD, method="FBCache")


def run(records, methods=(FBCACHE,), steps=4):
    return Trace("Wan", "output", list(methods), steps, records=list(records)).as_json()


def row(record, count, **changes):
    return [replace(record, evaluation=i, step=i, **changes) for i in range(count)]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_letter(reason):
    computed = letter_of("compute", reason.value, mixed=0)
    own = ("above threshold", "interval over", "first evaluation", "too little known yet")
    expected = "X" if reason in FAILSAFES else "C" if reason.value in own else "M"
    assert computed == expected
    assert letter_of("reuse", reason.value, mixed=1) == "R"
    assert letter_of("reuse", reason.value, mixed=2) == "F"


@pytest.mark.parametrize(
    ("letters", "expected"), [("R", "R"), ("RC", "C"), ("MF", "M"), ("CXM", "X"), ("FR", "F")]
)
def test_of_several_letters_the_most_telling_stands(letters, expected):
    assert most(letters) == expected and set(letters) <= set(WORDS)


def test_a_real_run_is_told_cell_by_cell():
    own = make_run(FBCache(0.1, downsample=1), steps=6, max_consecutive_skips=2)
    sample(own, split(1.0, 1.0, 1.0, 1.0, 2.0, 2.0))
    strip = strip_of([own.trace.as_json()])
    assert strip.steps == list(range(6)) and [(p.start, p.end) for p in strip.parts] == [(0, 6)]
    told = {branch: "".join(row[i] for i in range(6)) for branch, row in strip.cells.items()}
    assert told == {"cond": "CRRMCR", "uncond": "CRRMCR"}


def test_parts_stand_behind_each_other_and_steps_are_counted_on():
    strip = strip_of([run(row(ONE, 4), steps=4), run(row(REUSED, 3, sigma=0.8), steps=5)])
    assert strip.steps == [0, 1, 2, 3, 4, 5, 6]
    assert [(part.start, part.end, part.sigma) for part in strip.parts] == [(0, 4, 1), (4, 7, 0.8)]
    assert "".join(strip.cells["cond"].values()) == "CCCCRRR"
    assert strip.letters == {"C", "R"} and strip.columns == 7


def test_a_sampler_that_evaluates_twice_has_two_columns_a_step():
    twice = [replace(one, step=one.evaluation // 2) for one in row(ONE, 6)]
    assert strip_of([run(twice, steps=3), run(row(ONE, 2))]).steps == [0, 0, 1, 1, 2, 2, 3, 4]


def test_an_evaluation_that_nobody_saw_leaves_its_column_empty():
    strip = strip_of([run([ONE, replace(ONE, evaluation=2, step=2)])])
    assert strip.steps == [0, 0, 2] and list(strip.cells["cond"]) == [0, 2]


def test_nothing_at_all_is_an_empty_strip():
    strip = strip_of([run([])])
    assert (strip.columns, strip.cells, strip.curves) == (0, {}, [])


def test_windows_share_a_cell_and_the_largest_metric():
    windows = [replace(REUSED, metric=0.02), replace(ONE, metric=0.4), replace(REUSED, metric=0.09)]
    strip = strip_of([run(windows)])
    assert strip.cells == {"cond": {0: "C"}}
    assert strip.curves[0].lines == {"": [Point(0, 0.4, "C")]}


def test_branches_that_decide_together_have_one_line():
    records = [*row(ONE, 3), *row(ONE, 3, branch="uncond")]
    (curve,) = strip_of([run(records)]).curves
    assert list(curve.lines) == [""] and len(curve.lines[""]) == 3
    apart = [*row(ONE, 3), *row(ONE, 3, branch="uncond", metric=0.2)]
    (curve,) = strip_of([run(apart)]).curves
    assert list(curve.lines) == ["cond", "uncond"]


LIMITS = [(FBCACHE, 0.1), (TEACACHE, 0.2), (SEER, 3), (ADA, None)]


@pytest.mark.parametrize(("method", "limit"), LIMITS, ids=lambda x: getattr(x, "method", ""))
def test_each_method_has_its_own_limit(method, limit):
    (curve,) = strip_of([run(row(ONE, 2), [method])]).curves
    assert curve.method == method.method
    assert curve.limits == ([] if limit is None else [Limit(0, 2, limit)])


def test_experts_with_other_numbers_have_a_limit_each():
    low = replace(FBCACHE, settings={"threshold": 0.05})
    (curve,) = strip_of([run(row(ONE, 4)), run(row(ONE, 3), [low])]).curves
    assert curve.limits == [Limit(0, 4, 0.1), Limit(4, 7, 0.05)]
    assert [point.column for point in curve.lines[""]] == list(range(7))


def test_in_a_chain_each_metric_is_that_of_whoever_compared():
    records = [
        ONE,
        replace(REUSED, evaluation=1, metric=0.05),
        replace(REUSED, evaluation=2, method="TeaCache", metric=0.15),
        replace(ONE, evaluation=3, reason=Reason.JOINED, metric=0.7),
    ]
    curves = strip_of([run(records, [FBCACHE, TEACACHE])]).curves
    values = {curve.method: [p.value for p in curve.lines[""]] for curve in curves}
    assert values == {"FBCache": [0.3, 0.05], "TeaCache": [0.15]}


def test_without_a_metric_there_is_no_curve():
    assert strip_of([run(row(ONE, 4, metric=None))]).curves == []
    assert strip_of([run(row(ONE, 4, metric=float("inf")))]).curves == []


def test_what_cfg_cache_leaves_out_is_a_reuse():
    guided = replace(REUSED, reason=Reason.GUIDANCE, method=CFGCache.name, metric=None, mixed=2)
    strip = strip_of([run([ONE, replace(guided, branch="uncond")])])
    assert strip.cells == {"cond": {0: "C"}, "uncond": {0: "F"}}
