"""What the timeline shows of a run, from its records."""

import json
from math import inf, nan

import pytest

from cache_core.cells import cells, metrics, remaining
from cache_core.decision import Action, Reason
from cache_core.snapshot import snapshot
from cache_core.trace import MethodInForce, Record, Trace

C, R = Action.COMPUTE, Action.REUSE


def record(step, action=C, reason=Reason.ABOVE_THRESHOLD, branch="cond", **more):
    fields = {"evaluation": step, "sigma": 0.5, "method": None, "metric": None, "seconds": 1.0}
    return Record(step=step, branch=branch, action=action, reason=reason, **{**fields, **more})


def test_rows_of_both_branches_and_the_reasons_behind_them():
    found = cells(
        [
            record(0, reason=Reason.WARM_UP),
            record(0, reason=Reason.WARM_UP, branch="uncond"),
            record(1, R, Reason.BELOW_THRESHOLD),
            record(1, reason=Reason.CHANGED, branch="uncond"),
        ],
        4,
    )
    assert found == {
        "cond": {"row": "MR..", "why": ["warm-up", "below threshold", None, None]},
        "uncond": {"row": "MX..", "why": ["warm-up", "changed input", None, None]},
    }


def test_what_differs_within_a_step_shows_the_costlier_part():
    """Several windows, or several evaluations of a step."""
    windows = [record(0, R, Reason.BELOW_THRESHOLD), record(0), record(0, R)]
    assert cells(windows, 1)["cond"]["row"] == "C"


def test_steps_beyond_the_schedule_count_for_its_last():
    assert cells([record(7)], 3)["cond"]["row"] == "..C"


def test_metrics_are_the_largest_of_a_step_and_of_the_method_alone():
    found = metrics(
        [
            record(0, metric=0.1),
            record(0, metric=0.3, branch="uncond"),
            record(1, R, metric=0.2, method="FBCache"),
            record(2, R, metric=0.9, method="TeaCache"),
            record(3, metric=nan),
            record(4, metric=inf),
        ],
        6,
        "FBCache",
    )
    assert found == [0.3, 0.2, None, None, None, None]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [("CRCCRR", 10.0 + 2 * 1.0), ("CRRRRR", 4 * 1.0), (None, 4 * 5.5)],
)
def test_what_is_left_takes_as_long_as_what_was(plan, expected):
    done = [record(0, seconds=10.0), record(1, R, seconds=1.0)]
    left = remaining(done, 6, plan)
    assert left == pytest.approx(expected + (plan == "CRCCRR") * 10.0)


def test_before_the_first_step_nothing_is_known():
    assert remaining([], 6, None) == remaining([], 6, "CRCRCR") == 0


def method(**more):
    fields = {"preset": "balanced", "numbers": "x < 0.08", "source": "ours", "node": "7"}
    return MethodInForce("FBCache", settings={"threshold": 0.08}, **{**fields, **more})


def test_what_is_left_follows_the_clock_where_a_gpu_is_handed_its_work_in_no_time():
    trace = Trace("Wan 2.1 T2V", "output", [method()], 10)
    for step, (action, seconds) in enumerate([(C, 0.2), (C, 0.2), (R, 0.01), (C, 0.2)]):
        trace.add(record(step, action, seconds=seconds))
    trace.seconds = 61.0
    plan = method(plan_by_step="CCRCRCRCRC")
    computed, reused = 0.2 * 61.0 / 0.61, 0.01 * 61.0 / 0.61
    found = snapshot(trace, plan, done=False)["remaining"]
    assert found == pytest.approx(3 * computed + 3 * reused)


def test_a_snapshot_is_plain_json_and_holds_everything_so_far():
    trace = Trace("Wan 2.1 T2V", "output", [method()], 3)
    before = snapshot(trace, method(plan_by_step="CRC"), done=False)
    assert before["branches"] == {} and before["plan"] == "CRC" and before["speedup"] == 1
    trace.add(record(0, metric=0.2))
    reused = {"metric": 0.05, "method": "FBCache", "seconds": 0.0, "mixed": 2}
    trace.add(record(1, R, Reason.BELOW_THRESHOLD, **reused))
    trace.seconds = 2.0
    trace.holds(1024)
    now = snapshot(trace, method(), done=False)
    assert now["branches"]["cond"]["row"] == "CF."
    assert now["metric"] == [0.2, 0.05, None] and now["threshold"] == 0.08
    assert (now["elapsed"], now["saved"], now["speedup"], now["bytes"]) == (2.0, 2.0, 2.0, 1024)
    assert now["remaining"] == 1.0 and now["text"] == ""
    over = snapshot(trace, method(), done=True)
    assert over["remaining"] == 0 and "about 2.00x" in over["text"]
    assert json.loads(json.dumps(over)) == over
