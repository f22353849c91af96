"""Measuring a part of a benchmark's rows again; what is named and is not there is refused."""

import argparse
from contextlib import nullcontext

import pytest

from bench import peer_found, peers, quality
from bench.results import joined
from bench.scenario import SCENARIOS
from bench.selection import Selection
from devtools.errors import DevError


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


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "many"])
@pytest.mark.parametrize("option", ["--limit", "--jobs"])
def test_numbers_below_1_are_refused_with_what_they_must_be(capsys, option, text):
    with pytest.raises(SystemExit):
        quality.main([f"{option}={text}"])
    words = f"argument {option}: {text!r} must be a whole number of 1 or more"
    assert words in capsys.readouterr().err


UNKNOWN = [  # methods named, scenarios, those of them that there are not
    (["Nope"], list(SCENARIOS), "'Nope'"),
    (["FBCache", "magcache", "Nope"], ["euler-30-cfg5"], "'magcache', 'Nope'"),
    (["CFG Cache"], ["euler-30-cfg1"], "'CFG Cache'"),
    (["EasyCache, own streams"], ["euler-30-cfg5"], "'EasyCache, own streams'"),
]


@pytest.mark.parametrize(("methods", "scenarios", "told"), UNKNOWN)
def test_methods_that_there_are_not_are_refused_before_anything_is_measured(
    monkeypatch, tmp_path, capsys, methods, scenarios, told
):
    monkeypatch.setattr(quality, "run_all", lambda *_: pytest.fail("it measures"))
    monkeypatch.setattr(quality.results, "empty", lambda *_: {"scenarios": {}})
    arguments = ["--out", str(tmp_path), "--scenario", *scenarios, "--only", *methods]
    assert quality.main(arguments) == 1
    said = capsys.readouterr().err
    assert f"--only: there is no {told}; give one or more of 'FBCache'" in said
    assert "'fewer steps'" in said
    assert list(tmp_path.iterdir()) == []


KNOWN = [  # methods named, scenarios
    (["FBCache", "host EasyCache, input copied", "fewer steps"], ["euler-30-cfg5"]),
    (["EasyCache, own streams"], ["heun-16-cfg5"]),
    (["CFG Cache", "EasyCache, own streams"], list(SCENARIOS)),
    ((), ["euler-30-cfg5"]),
    (["FBCache"], []),
]


@pytest.mark.parametrize(("methods", "scenarios"), KNOWN)
def test_a_method_of_any_of_the_scenarios_may_be_named(methods, scenarios):
    quality.require_methods(methods, [SCENARIOS[name] for name in scenarios])


class Loaded:
    """A server with packs in it, of which one cannot be loaded; ``started``: all there were."""

    started: list

    def __init__(self, placed):
        (self.name,) = placed
        self.started.append(self.name)
        self.declared = {"Patches": {"input": {"required": {"model": ["MODEL"]}}}}
        self.declared["Patches"]["output"] = ["MODEL"]

    def nodes_of(self, folder):
        return [] if folder == "broken" else ["Patches"]

    def complaint(self, folder):
        return "cannot import gone" if folder == "broken" else None


LINES = [  # lines named, packs given, packs that are loaded for it, what there is not
    (["WanStepCache_FBCache", "EasyCache, input copied"], ["other"], [], None),
    (["EasyCache", "Patches"], ["other", "broken"], ["other"], None),
    (["Patches"], ["broken", "other"], ["broken", "other"], None),
    (["Nope"], [], [], "'Nope'"),
    (["EasyCache", "TaylorSeerLite"], [], [], "'TaylorSeerLite'"),
    (["Nope", "Patches"], ["other", "broken"], ["other", "broken"], "'Nope'"),
    (["Patches"], ["broken"], ["broken"], "'Patches'"),
    ((), ["other"], [], None),
]


@pytest.mark.parametrize(("lines", "given", "loaded", "told"), LINES)
def test_lines_that_no_pack_has_are_refused_before_anything_is_written(
    monkeypatch, tmp_path, capsys, lines, given, loaded, told
):
    monkeypatch.setattr(Loaded, "started", [], raising=False)
    monkeypatch.setattr(peer_found, "Rig", lambda placed: nullcontext(Loaded(placed)))
    monkeypatch.setattr(peers, "write", lambda *_: pytest.fail("it writes") if told else None)
    monkeypatch.setattr(peers, "introduction", lambda *_: {})
    monkeypatch.setattr(peers, "side_by_side", lambda *_: [])
    own = [
        peer_found.Pack("ComfyUI", "1", methods=peer_found.HOST),
        peer_found.Pack("Wan Step Cache", "1", folder=("ours", tmp_path), methods=peer_found.OURS),
    ]
    packs = [*own, *(peer_found.Pack(name, "1", folder=(name, tmp_path)) for name in given)]
    options = argparse.Namespace(only=lines, quick=False, limit=None)
    if told is None:
        peers.measure(options, packs, tmp_path / "a", tmp_path / "b")
    else:
        with pytest.raises(DevError, match=f"--only: there is no {told}; .*'EasyCache'"):
            peers.measure(options, packs, tmp_path / "a", tmp_path / "b")
    assert Loaded.started == loaded
    assert ("cannot import gone" in capsys.readouterr().err) == ("broken" in loaded)
