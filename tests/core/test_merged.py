"""Several samplings told as one, against naive sums over their records."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_core import Schedule
from cache_core.decision import Action, Reason
from cache_core.merged import heading, merged, part_text, whole
from cache_core.trace import MethodInForce, Record, Trace

METHOD = MethodInForce("FBCache", "balanced", "x < 0.1", "ours", {}, "7", notes=("assumed",))
MIB = 1024 * 1024
ONE = Record(0, 0, 1.0, "cond", Action.COMPUTE, Reason.FIRST, None, None, 0.5)

records = st.builds(
    replace,
    st.just(ONE),
    evaluation=st.integers(0, 9),
    branch=st.sampled_from(["cond", "uncond", "cond 3"]),
    action=st.sampled_from(Action),
    reason=st.sampled_from([Reason.WARM_UP, Reason.CHANGED, Reason.NO_HISTORY]),
)


def trace(items=(), share=0.0, seconds=0.0, peak=0, errors=0, model="Wan T2V 14B"):
    return Trace(model, "output", [METHOD], 20, probe_share=share, records=list(items),
                 seconds=seconds, peak_bytes=peak, errors=errors)  # fmt: skip


traces = st.builds(
    trace,
    st.lists(records, max_size=12),
    st.sampled_from([0.0, 0.025, 0.1]),
    st.integers(0, 1000).map(float),
    st.integers(0, 10**9),
    st.integers(0, 3),
)


@given(st.lists(traces, max_size=4))
def test_totals_are_the_sums_over_all_records(runs):
    totals = merged([json.loads(json.dumps(run.as_json()))["summary"] for run in runs])
    everything = [record for run in runs for record in run.records]
    assert list(totals.branches) == sorted({record.branch for record in everything})
    for branch, row in totals.branches.items():
        kinds = [record.action for record in everything if record.branch == branch]
        assert row == {"computed": kinds.count("compute"), "reused": kinds.count("reuse")}
    cost = sum(
        run.probe_share if record.action == "reuse" else 1.0
        for run in runs
        for record in run.records
    )
    assert totals.cost == pytest.approx(cost)
    assert totals.speedup == pytest.approx(len(everything) / cost if cost else 1.0)
    assert totals.seconds == sum(run.seconds for run in runs)
    saved = sum(run.seconds * (run.speedup() - 1) for run in runs)
    assert totals.saved == pytest.approx(saved, abs=0.01)
    assert totals.peak_bytes == max((run.peak_bytes for run in runs), default=0)
    for reason in ("changed input", "no history"):
        found = [record for record in everything if record.reason.value == reason]
        assert totals.failsafes.get(reason, 0) == len(found)
    assert totals.failsafes.get("error", 0) == sum(run.errors for run in runs)


def pair():
    """10 of 20 and 20 of 20 computed, a reuse costing nothing, in 10 and 30 s."""
    reused = replace(ONE, action=Action.REUSE, method="FBCache")
    high = trace([ONE, reused] * 10, seconds=10.0, peak=3 * MIB)
    low = trace([ONE] * 20, seconds=30.0, peak=MIB, errors=2)
    return [high, low]


def test_a_pair_in_words():
    totals = merged([run.summary() for run in pair()])
    assert whole(totals, experts=2, samplings=2) == [
        "both experts: cond 10 of 40 reused",
        "about 1.33x, 10.0 s saved of 50.0 s, cache at most 3.0 MiB",
        "failsafes: error 2",
    ]


HEADINGS = [
    (2, 2, "both experts"),
    (2, 3, "both experts, 3 samplings"),
    (1, 2, "2 samplings"),
    (3, 4, "3 models, 4 samplings"),
]


@pytest.mark.parametrize(("experts", "samplings", "words"), HEADINGS)
def test_whose_samplings_they_are(experts, samplings, words):
    assert heading(experts, samplings) == words


def test_a_part_keeps_the_numbers_in_force():
    high = pair()[0]
    high.note("8 steps: risky")
    assert part_text(METHOD, high, Schedule.of([1.0, 0.95, 0.875])).splitlines() == [
        "sigma 1.000 to 0.875: cond 10 of 20 reused, about 2.00x",
        "balanced: x < 0.1",
        "Wan T2V 14B",
        "8 steps: risky; assumed",
    ]
