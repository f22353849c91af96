"""The trace tells what happened: its totals against naive definitions."""

import json
import logging
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_core.decision import FAILSAFES, Action, Reason
from cache_core.trace import FORMAT_VERSION, MethodInForce, Record, Trace, percentiles

METHOD = MethodInForce("FBCache", "fast", "x < 0.1", "ours", {"threshold": 0.1}, "7")
BRANCHES = ("cond", "uncond", "cond 3")


def record(evaluation=0, branch="cond", reuse=False, reason=None, metric=None, **more):
    action = Action.REUSE if reuse else Action.COMPUTE
    reason = reason or (Reason.BELOW_THRESHOLD if reuse else Reason.ABOVE_THRESHOLD)
    method = "FBCache" if reuse else None
    where = {"step": evaluation, "sigma": 1.0 - evaluation / 100, "seconds": 0.25}
    return Record(evaluation, branch=branch, action=action, reason=reason, method=method,
                  metric=metric, **{**where, **more})  # fmt: skip


def trace(*records, **more):
    made = Trace("Wan T2V 14B", "output", [METHOD], steps=30, **more)
    for item in records:
        made.add(item)
    return made


records = st.lists(
    st.builds(
        record,
        evaluation=st.integers(0, 60),
        step=st.integers(0, 30),
        branch=st.sampled_from(BRANCHES),
        reuse=st.booleans(),
        metric=st.none() | st.floats(0, 3),
    ),
    max_size=30,
)


@given(records, st.floats(0.0, 1.0))
def test_the_speed_up_is_evaluations_over_what_they_cost(items, share):
    cost = 0.0
    for item in items:
        cost += share if item.action == "reuse" else 1.0
    expected = len(items) / cost if cost > 0 else 1.0
    assert trace(*items, probe_share=share).speedup() == pytest.approx(expected)


SPEEDUPS = [(0, 0, 0.0, 1.0), (30, 0, 0.1, 1.0), (10, 20, 0.0, 3.0), (10, 20, 0.1, 2.5)]


@pytest.mark.parametrize(("computed", "reused", "share", "speedup"), SPEEDUPS)
def test_speed_ups_by_example(computed, reused, share, speedup):
    items = [record(reuse=False)] * computed + [record(reuse=True)] * reused
    assert trace(*items, probe_share=share).speedup() == pytest.approx(speedup)


@given(records)
def test_counts_by_branch(items):
    counted = trace(*items).counts()
    assert list(counted) == sorted({item.branch for item in items})
    for branch, row in counted.items():
        actions = Counter(item.action.value for item in items if item.branch == branch)
        assert row == {"computed": actions["compute"], "reused": actions["reuse"]}


@given(st.lists(st.floats(0, 3), min_size=1, max_size=50))
def test_percentiles_are_the_values_of_the_nearest_rank(values):
    ascending = sorted(values)
    shares = {"min": 0, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "max": 1}
    found = percentiles(ascending)
    assert list(found) == list(shares)
    for name, share in shares.items():
        rank = share * (len(ascending) - 1)
        near = [round(v, 6) for i, v in enumerate(ascending) if abs(i - rank) <= 0.5]
        assert found[name] in near
    assert percentiles([]) == {}


def test_percentiles_by_example():
    assert percentiles([n / 100 for n in range(101)]) == {
        "min": 0.0, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0,
    }  # fmt: skip
    assert percentiles([0.1234567]) == dict.fromkeys(percentiles([0.0]), 0.123457)


@pytest.mark.parametrize("reason", list(Reason))
def test_only_the_unexpected_counts_as_a_failsafe(reason):
    unexpected = {"no history", "changed input", "metric not finite"}
    unexpected |= {"signal not known", "block patch not called", "another rank computes"}
    unexpected |= {"collapse alarm", "out of memory"}
    made = trace(record(reason=reason), record(reason=reason))
    if reason is Reason.ERROR:
        assert made.failsafes() == {"error": 2}
    else:
        assert made.failsafes() == ({reason.value: 2} if reason.value in unexpected else {})
    assert (reason in FAILSAFES) == (reason.value in {*unexpected, "error"})


def test_errors_are_counted_as_they_happened_whatever_the_records_say(caplog):
    made = trace(record(reason=Reason.ERROR))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            made.failed(ValueError("on purpose"))
    assert made.failsafes() == {"error": 3}
    assert [logged.exc_info[0] for logged in caplog.records] == [ValueError]


@given(records)
def test_the_latest_are_all_records_of_the_newest_evaluation(items):
    ordered = sorted(items, key=lambda item: item.evaluation)
    newest = max((item.evaluation for item in items), default=None)
    latest = trace(*ordered).latest()
    assert latest == [item for item in ordered if item.evaluation == newest]


def test_the_peak_is_the_most_ever_held():
    made = trace()
    for nbytes in (10, 400, 30):
        made.holds(nbytes)
    assert made.peak_bytes == 400


def test_time_runs_from_the_first_evaluation_to_the_end_of_the_last(monkeypatch):
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr("cache_core.trace.time", clock)
    made = trace()
    for begins, ends, seconds in ((5.0, 7.0, 2.0), (8.0, 11.5, 6.5)):
        clock.now = begins
        made.evaluation_begins()
        clock.now = ends
        made.evaluation_ends()
        assert made.seconds == seconds


ROUND_TRIP = [
    record(0, "cond", reason=Reason.FIRST),
    record(0, "uncond", reason=Reason.FIRST),
    record(1, "cond", reuse=True, metric=0.05),
    record(1, "uncond", reuse=True, metric=0.05),
]


def test_a_trace_survives_json_word_for_word():
    made = trace(*ROUND_TRIP, probe_share=0.1)
    made.seconds = 4.0
    read = json.loads(json.dumps(made.as_json(), allow_nan=False))
    assert read == made.as_json()
    assert list(read) == [
        *("version", "model", "cache_level", "cache_device", "cache_dtype", "forecast"),
        *("notes", "methods", "summary", "records"),
    ]
    assert (read["version"], read["model"]) == (FORMAT_VERSION, "Wan T2V 14B")
    assert (read["cache_level"], read["forecast"]) == ("output", "hold")
    assert (read["cache_device"], read["cache_dtype"]) == ("gpu", "model")
    assert read["methods"][0]["settings"] == {"threshold": 0.1}
    assert read["records"][2] == {
        "evaluation": 1, "step": 1, "sigma": 0.99, "branch": "cond", "action": "reuse",
        "reason": "below threshold", "method": "FBCache", "metric": 0.05, "seconds": 0.25,
        "mixed": 0,
    }  # fmt: skip
    assert read["summary"] == {
        "steps": 30,
        "evaluations": 2,
        "branches": {
            "cond": {"computed": 1, "reused": 1},
            "uncond": {"computed": 1, "reused": 1},
        },
        "estimated_cost": 2.2,
        "estimated_speedup": 1.818,
        "seconds": 4.0,
        "estimated_seconds_saved": 3.273,
        "peak_cache_bytes": 0,
        "average_seconds": {"computed": 0.5, "reused": 0.5},
        "average_reused_in_a_row": 1.0,
        "metric": dict.fromkeys(percentiles([0.0]), 0.05),
        "metrics": {"FBCache": dict.fromkeys(percentiles([0.0]), 0.05)},
        "failsafes": {},
    }


def test_json_is_made_of_plain_values_before_it_is_written():
    """Whoever reads it in the same process gets words too, and no enum that prints as one."""

    def kinds(value):
        inner = value.values() if type(value) is dict else value if type(value) is list else ()
        return {type(value)}.union(*map(kinds, inner))

    plain = {dict, list, str, int, float, type(None)}
    assert kinds(trace(*ROUND_TRIP).as_json()) <= plain


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["metric", "sigma"])
def test_json_holds_no_number_that_json_cannot_hold(name, number):
    bad = replace(record(2, metric=0.1), **{name: number})
    made = trace(*ROUND_TRIP, bad).as_json()
    json.dumps(made, allow_nan=False)
    assert made["records"][-1][name] is None
    assert made["summary"]["metric"]["max"] in (0.05, 0.1)


def test_an_empty_trace_has_a_summary():
    made = trace()
    assert made.latest() == []
    assert json.loads(json.dumps(made.as_json(), allow_nan=False))["summary"] == {
        "steps": 30, "evaluations": 0, "branches": {}, "estimated_cost": 0.0,
        "estimated_speedup": 1.0, "seconds": 0.0, "estimated_seconds_saved": 0.0,
        "peak_cache_bytes": 0, "average_seconds": {"computed": None, "reused": None},
        "average_reused_in_a_row": None, "metric": {}, "metrics": {}, "failsafes": {},
    }  # fmt: skip
