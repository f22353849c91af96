"""What a summary says of averages and metrics, against naive definitions."""

from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_core.averages import mean_series, metrics_by_method, seconds_by_action
from cache_core.decision import Action, Reason
from cache_core.report import metric_text, summary_line
from cache_core.tables import summary_table
from cache_core.trace import MethodInForce, Record, Trace

FBCACHE = MethodInForce("FBCache", "fast", "x < 0.1", "ours", {}, None)
COMPUTED = Record(0, 0, 1.0, "cond", Action.COMPUTE, Reason.ABOVE_THRESHOLD, None, None, 0.0)
REUSED = replace(COMPUTED, action=Action.REUSE, reason=Reason.BELOW_THRESHOLD, method="FBCache")


def series(letters, branch="cond", seconds=0.0):
    """A branch's records from letters, an evaluation each."""
    kinds = {"C": COMPUTED, "R": REUSED}
    return [
        replace(kinds[letter], evaluation=i, step=i, branch=branch, seconds=seconds)
        for i, letter in enumerate(letters)
    ]


def trace(records, *methods):
    return Trace("Wan T2V 14B", "output", list(methods or [FBCACHE]), 9, records=list(records))


@pytest.mark.parametrize(
    ("letters", "mean"),
    [("", None), ("CCC", None), ("CRC", 1.0), ("CRRCRC", 1.5), ("CRRR", 3.0), ("CRCRRCRRR", 2.0)],
)
def test_the_mean_length_of_series(letters, mean):
    assert mean_series(series(letters)) == mean


@given(st.lists(st.text("CR", max_size=20), max_size=3))
def test_series_are_counted_by_branch(branches):
    records = [r for i, letters in enumerate(branches) for r in series(letters, f"branch {i}")]
    lengths = [len(run) for letters in branches for run in letters.split("C") if run]
    expected = pytest.approx(sum(lengths) / len(lengths), abs=1e-4) if lengths else None
    assert mean_series(records) == expected
    by_evaluation = sorted(records, key=lambda record: record.evaluation)
    assert mean_series(by_evaluation) == expected


def test_an_evaluation_of_several_windows_is_reused_if_all_are():
    assert mean_series([*series("CRRC"), *series("CRCC")]) == 1.0


def test_seconds_are_those_of_all_branches_of_an_evaluation():
    both = [*series("CRRC", seconds=2.0), *series("CRRC", "uncond", seconds=1.0)]
    mixed = [*both, replace(COMPUTED, evaluation=4, seconds=5.0), replace(REUSED, evaluation=4)]
    assert seconds_by_action(both) == {"computed": 3.0, "reused": 3.0}
    assert seconds_by_action(mixed) == {"computed": round(11 / 3, 4), "reused": 3.0}
    assert seconds_by_action([]) == {"computed": None, "reused": None}


OWNERS = [  # record, methods, whose metric it is
    (replace(REUSED, metric=1.0, method="TeaCache"), ["FBCache", "TeaCache"], "TeaCache"),
    (replace(COMPUTED, metric=1.0), ["FBCache", "TeaCache"], "FBCache"),
    (replace(COMPUTED, metric=1.0, reason=Reason.JOINED), ["FBCache"], "FBCache"),
    (replace(COMPUTED, metric=1.0, reason=Reason.JOINED), ["FBCache", "TeaCache"], None),
    (replace(COMPUTED, metric=1.0, reason=Reason.NO_HISTORY), ["FBCache", "TeaCache"], None),
    (replace(COMPUTED, metric=None), ["FBCache"], None),
    (replace(COMPUTED, metric=nan), ["FBCache"], None),
    (replace(REUSED, metric=inf), ["FBCache"], None),
    (replace(COMPUTED, metric=1.0), [], None),
]


@pytest.mark.parametrize(("record", "methods", "owner"), OWNERS)
def test_a_metric_belongs_to_the_method_that_compared_it(record, methods, owner):
    assert metrics_by_method([record], methods) == ({owner: [1.0]} if owner else {})


def measured(values, method="FBCache"):
    return [
        replace(REUSED, evaluation=i, metric=value, method=method) for i, value in enumerate(values)
    ]


def test_the_line_has_the_percentiles_of_what_was_measured():
    values = [0.2, 0.012, 0.05, 0.031, 0.07]
    assert metric_text(trace(measured(values))) == (
        "metric min 0.012, P25 0.031, P50 0.05, P75 0.07, P95 0.2, max 0.2"
    )
    other = replace(FBCACHE, method="TeaCache")
    both = trace([*measured([0.1]), *measured([0.3], "TeaCache")], FBCACHE, other)
    first, second = metric_text(both).split("; ")
    assert first.startswith("FBCache metric min 0.1,")
    assert second.startswith("TeaCache metric min 0.3,")


def test_where_nothing_was_measured_the_line_says_nothing_of_it():
    assert metric_text(trace(series("CCC"))) == ""
    assert "metric" not in summary_line(trace(series("CCC")))
    assert "metric" not in summary_table(trace(series("CCC")))


def test_the_table_has_totals_averages_percentiles_and_failsafes():
    records = [*series("CRRC", seconds=0.25), *measured([0.2, 0.1])]
    records += [replace(COMPUTED, evaluation=9, branch="uncond", reason=Reason.CHANGED)]
    rows = [line.rsplit("  ") for line in summary_table(trace(records)).splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells == [
        ["Wan T2V 14B"],
        ["computed", "reused", "all"],
        ["cond", "2", "4", "6"],
        ["uncond", "1", "0", "1"],
        ["seconds each, host's", "0.167", "0.25"],
        ["in a row, mean", "2"],
        ["min", "p25", "p50", "p75", "p95", "max"],
        ["FBCache metric", "0.1", "0.1", "0.1", "0.2", "0.2", "0.2"],
        ["failsafe changed input", "1"],
    ]
