"""What all samplings behind a latent did, in words and as JSON."""

import json
from dataclasses import replace

import pytest

from cache_core.decision import Action, Reason
from cache_core.overview import Overview
from cache_core.trace import MethodInForce, Record, Trace

METHOD = MethodInForce(
    "FBCache", "balanced", "x < 0.1; first 3 computed", "ours", {"threshold": 0.1}, "7",
    notes=("taken for 14B",),
)  # fmt: skip
FIRST = Record(0, 0, 1.0, "cond", Action.COMPUTE, Reason.FIRST, None, None, 0.5)
WARM = replace(FIRST, reason=Reason.WARM_UP)
ABOVE = replace(FIRST, reason=Reason.ABOVE_THRESHOLD, metric=0.2)
REUSED = replace(FIRST, action=Action.REUSE, reason=Reason.BELOW_THRESHOLD, method="FBCache",
                 metric=0.05)  # fmt: skip


def trace(records, model="Wan 2.2 T2V A14B high noise", **more):
    records = [replace(one, evaluation=i, step=i) for i, one in enumerate(records)]
    made = Trace(model, "output", [METHOD], len(records), "hold", records=records, **more)
    return made.as_json()


HIGH = trace([FIRST, WARM, WARM, REUSED, ABOVE, REUSED], seconds=6.0, peak_bytes=3 * 2**20)
LOW = trace([FIRST, REUSED], "low noise", seconds=1.0, peak_bytes=2**20, notes=["8 steps: risky"])


def test_one_sampling_in_words():
    assert Overview(((HIGH,),)).lines == [
        "cond 2 of 6 reused",
        "about 1.50x, 3.0 s saved of 9.0 s, cache at most 3.0 MiB",
        "failsafes: none",
        "",
        "Wan 2.2 T2V A14B high noise",
        "FBCache balanced: x < 0.1; first 3 computed (ours)",
        "cond 2 of 6 reused",
        "about 1.50x, 3.0 s saved of 9.0 s, output cache 3.0 MiB, forecast hold",
        "metric min 0.05, P25 0.05, P50 0.05, P75 0.2, P95 0.2, max 0.2",
        "computed 4 of 6: warm-up 2, first evaluation 1, above threshold 1",
        "failsafes: none",
        "taken for 14B",
    ]


def test_a_pair_is_told_together_first_and_then_each():
    lines = Overview(((HIGH, LOW),), experts=2, note="From earlier.").lines
    assert lines[0] == "From earlier."
    assert lines[1] == "both experts: cond 3 of 8 reused"
    assert lines.count("") == 2 and lines[lines.index("low noise") - 1] == ""
    assert lines[-1] == "8 steps: risky; taken for 14B"


def test_a_part_of_two_schedules_is_counted_once():
    whole = Overview(((HIGH, LOW), (HIGH, dict(LOW))), experts=2)
    assert len(whole.runs) == 3
    assert whole.totals.branches == {"cond": {"computed": 6, "reused": 4}}
    assert whole.as_json()["together"]["samplings"] == 3


def test_json_holds_every_trace_and_their_sums():
    found = json.loads(json.dumps(Overview(((HIGH, LOW),), 2).as_json(), allow_nan=False))
    assert found["schedules"] == [[HIGH, LOW]] and found["version"] == 1
    assert found["together"] == {
        "samplings": 2,
        "branches": {"cond": {"computed": 5, "reused": 3}},
        "estimated_speedup": pytest.approx(8 / 5),
        "seconds": 7.0,
        "estimated_seconds_saved": pytest.approx(4.0),
        "peak_cache_bytes": 3 * 2**20,
        "failsafes": {},
    }


def test_nothing_is_the_note_alone():
    empty = Overview(note="Connect an Apply node.")
    assert empty.lines == ["Connect an Apply node."]
    assert empty.as_json()["schedules"] == [] and empty.as_json()["note"] == empty.note
