"""Measuring a part of a benchmark's rows again."""

import pytest

from bench.results import joined
from bench.selection import Selection


def row(method, knob, kind="sweep", forecast="auto", run=1):
    return {"method": method, "knob": knob, "kind": kind, "forecast": forecast, "run": run}


OLD = [
    row("MagCache", "K 1"),
    row("MagCache", "K 1", forecast="hold"),
    row("MagCache", "fast", kind="preset"),
    row("EasyCache", "0.1"),
    row("fewer steps", "15 steps", forecast=""),
]


@pytest.mark.parametrize(
    ("selection", "again"),
    [
        (Selection(), {0, 1, 2, 3, 4}),
        (Selection(methods=("MagCache",)), {0, 1, 2}),
        (Selection(picture=True), {0, 3, 4}),
        (Selection(methods=("MagCache",), picture=True), {0}),
    ],
)
def test_rows_outside_of_the_selection_stay_as_they_were(selection, again):
    held = {
        place
        for place, one in enumerate(OLD)
        if selection.holds(one["method"], one["kind"], one["forecast"])
    }
    assert held == again
    old = {"rows": OLD, "commit": "old", "date": "then"}
    found = joined(old, {"rows": [{**OLD[place], "run": 2} for place in sorted(again)]}, selection)
    assert [one["run"] for one in found["rows"]] == [1 + (place in again) for place in range(5)]
    assert [{**one, "run": 1} for one in found["rows"]] == OLD
    assert (found["commit"] == "old") == ("again" in found) == (not selection.everything)


def test_knob_values_that_are_no_more_go_and_new_ones_come():
    measured = {"rows": [row("MagCache", "K 2", run=2)]}
    found = joined({"rows": OLD}, measured, Selection(methods=("MagCache",)))
    assert [one["knob"] for one in found["rows"]] == ["0.1", "15 steps", "K 2"]
