"""Packs that make their patches anew for every call: told apart by what lasts, and forgotten."""

from importlib import import_module

import pytest
import torch

LEVELS = ("output", "hidden")
ONE = {"max_consecutive_skips": 1}


@pytest.fixture(scope="module")
def others(pack):
    """Other nodes on the model: ``tests/support/neighbours.py``."""
    return import_module("neighbours")


@pytest.mark.parametrize("level", LEVELS)
def test_a_patch_made_anew_for_every_call_is_reused_once_it_is_known(
    wan, caching, others, model, traces, tell, level
):
    fresh = others.with_fresh_patch(model)
    plain = wan.sample(fresh)
    assert not torch.equal(plain, wan.sample(model))
    assert torch.equal(plain, wan.sample(caching.cached(fresh, 0.0, level)))
    wan.sample(caching.cached(fresh, level=level, **ONE))
    assert caching.actions(traces[1]) == caching.actions(traces[1], "uncond") == "CCCRCRCR"
    assert traces[1].failsafes() == {} and traces[1].notes == []
    tell("Neighbours", "Patches made anew for every call", result="identical", reuse="yes")


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_reused_of_it_is_exact(wan, caching, others, model, traces, level):
    cached = caching.cached(others.with_fresh_patch(model), level=level, **ONE)
    pairs = wan.evaluated_twice(cached, steps=5)
    assert caching.actions(traces[0]) == "CCCRCRCRCR"
    caching.assert_reuse_is_exact(pairs, level)


@pytest.mark.usefixtures("unalarmed")
def test_a_run_with_them_holds_no_more_from_step_to_step(wan, caching, others, model, runs):
    """As much as a run without them; what was kept of strangers is dropped by then."""
    wan.sample(caching.cached(model, **ONE), steps=16)
    wan.sample(caching.cached(others.with_fresh_patch(model), **ONE), steps=16)
    bare, held = runs.histories
    assert bare == [2] * 16
    assert held == [2, 4, 4] + [2] * 13
    assert runs[1].trace.peak_bytes <= 2 * runs[0].trace.peak_bytes


@pytest.mark.parametrize("level", LEVELS)
def test_an_extra_pass_with_one_has_a_memory_of_its_own(
    wan, caching, others, model, traces, level
):
    guided = others.with_passes(model, lambda: [others.skipping(2)])
    cached = caching.cached(guided, level=level, **ONE)
    pairs = wan.evaluated_twice(cached, steps=5)
    assert caching.actions(traces[0], "uncond") == "CR" * 5
    assert caching.actions(traces[0]) == "CCRC" + "CCRR" + "CCRR" * 3
    caching.assert_reuse_is_exact(pairs, level)


def test_passes_that_only_fleeting_things_tell_apart_are_computed(
    wan, caching, others, model, traces, tell
):
    """Two extra passes of the same kind in every evaluation; the first ends, and comes back."""

    def passes():
        passes.evaluation += 1
        kinds = [0.5, 0.9] if passes.evaluation % 8 < 5 else [0.9]
        return [others.scaling(2, others.Strength(scale)) for scale in kinds]

    guided = others.with_passes(model, passes)
    passes.evaluation = 0
    plain = wan.sample(guided, steps=12)
    passes.evaluation = 0
    cached = caching.cached(guided, **ONE)
    seen = wan.sample(cached, steps=12)
    extra = [r for r in caching.evaluations(traces[0]) for r in r[2:]]
    assert {record.action.value for record in extra} == {"compute"}
    assert not torch.equal(plain, seen)
    assert "makes its patches anew" in traces[0].notes[0]
    tell("Neighbours", "Two passes with nothing lasting to tell them apart", reuse="says why not")
