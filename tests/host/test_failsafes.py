"""Whatever goes wrong is computed, counted and logged: it never spoils a render."""

import logging
from dataclasses import replace

import pytest
import torch

STEPS = 6
ROWS = 2 * (STEPS - 1)
"""Branches of all evaluations but the first, which has nothing to reuse anyway."""


@pytest.fixture(scope="module")
def model(wan):
    """Two blocks are enough here, and fast."""
    return wan.random_wan(num_layers=2)


@pytest.fixture(scope="module")
def plain(wan, model):
    """What the render is without the cache."""
    return wan.sample(model, STEPS)


def raising(kind):
    def fail(*args, **kwargs):
        raise kind("on purpose")

    return fail


def distance_is(value):
    def sabotage(part, patch):
        def distance(self, state, features):
            return None if state.reference is None else torch.tensor(value)

        patch(part("cache_core").FBCache, "distance", distance)

    return sabotage


def nothing_stored(part, patch):
    run = part("cache_core").Run
    begin = run.begin

    def forgetful(self, sigma):
        self.store.clear()
        begin(self, sigma)

    patch(run, "begin", forgetful)


def changing(field):
    """The inputs seem to change their shape, dtype or device from evaluation to evaluation."""

    def sabotage(part, patch):
        wrappers = part("nodes.host.wrappers")
        chunks_of, evaluation = wrappers.chunks_of, []

        def chunks(*args):
            evaluation.append(1)
            return [replace(c, signature=seemingly(c.signature)) for c in chunks_of(*args)]

        def seemingly(signature):
            other = list(signature)
            other[field] = (other[field], len(evaluation))
            return tuple(other)

        patch(wrappers, "chunks_of", chunks)

    return sabotage


def not_called(part, patch):
    """Another pack between ours and the model takes our block patch out."""
    with_patch = part("nodes.host.forward").with_patch

    def without(options, block, patch):
        copied, run_block = with_patch(options, block, patch)
        return {**copied, "patches_replace": {}}, run_block

    for level in ("forward", "hidden"):
        patch(part(f"nodes.host.{level}"), "with_patch", without)


FAILSAFES = {
    "metric nan": (distance_is(float("nan")), "metric not finite", ROWS),
    "metric inf": (distance_is(float("inf")), "metric not finite", ROWS),
    "metric -inf": (distance_is(-float("inf")), "metric not finite", ROWS),
    "residual missing": (nothing_stored, "no history", ROWS),
    "shape": (changing(0), "changed input", ROWS),
    "dtype": (changing(1), "changed input", ROWS),
    "device": (changing(2), "changed input", ROWS),
    "block patch": (not_called, "block patch not called", 2 * STEPS),
}


@pytest.mark.every_host
@pytest.mark.parametrize("level", ["output", "hidden"])
@pytest.mark.parametrize(("sabotage", "reason", "times"), FAILSAFES.values(), ids=list(FAILSAFES))
def test_what_is_not_as_expected_is_computed_and_counted(
    wan, caching, part, model, plain, traces, monkeypatch, caplog, level, sabotage, reason, times
):
    sabotage(part, monkeypatch.setattr)
    with caplog.at_level(logging.INFO):
        assert torch.equal(plain, wan.sample(caching.cached(model, level=level), STEPS))
    assert traces[0].failsafes() == {reason: times}
    assert f"failsafes: {reason} {times}" in caplog.text


BROKEN = {
    "chunks": ("nodes.host.wrappers", None, "chunks_of"),
    "call": ("cache_core.call", "Call", "of"),
    "decision": ("cache_core", "Run", "decide"),
    "features": ("cache_core", "FBCache", "features"),
    "distance": ("cache_core", "FBCache", "distance"),
    "verdict": ("cache_core", "FBCache", "judge"),
    "record": ("cache_core.store", "History", "fill"),
    "forecast": ("cache_core.forecast", "Forecast", "weights"),
    "accounting": ("cache_core", "Run", "account"),
    "beginning": ("cache_core", "Run", "begin"),
    "end": ("cache_core", "Run", "end"),
    "trace": ("cache_core.trace", "Trace", "add"),
}


def break_part(part, patch, place, error):
    module, owner, name = place
    target = part(module) if owner is None else getattr(part(module), owner)
    patch(target, name, raising(error))


@pytest.mark.parametrize("level", ["output", "hidden"])
@pytest.mark.parametrize("error", [RuntimeError, ValueError])
@pytest.mark.parametrize("place", BROKEN.values(), ids=list(BROKEN))
def test_an_error_of_the_pack_is_computed_counted_and_logged_once(
    wan, caching, part, model, plain, traces, monkeypatch, caplog, level, error, place
):
    break_part(part, monkeypatch.setattr, place, error)
    with caplog.at_level(logging.INFO):
        assert torch.equal(plain, wan.sample(caching.cached(model, level=level), STEPS))
    assert set(traces[0].failsafes()) == {"error"}
    assert STEPS - 1 <= traces[0].failsafes()["error"] <= 2 * STEPS
    assert caplog.text.count("computing after an error of its own") == 1
    assert f"failsafes: error {traces[0].errors}" in caplog.text


def test_no_memory_for_a_copy_of_the_hidden_state_costs_no_render(
    wan, caching, traces, monkeypatch
):
    model = wan.random_wan(model_type="vace", vace_layers=2, vace_in_dim=96)
    plain = wan.sample(model, STEPS)
    clone, tokens = torch.Tensor.clone, 3 * 4 * 4

    def without_memory(self, **how):
        if self.shape[1:] == (tokens, wan.DIM):
            raise torch.OutOfMemoryError("on purpose")
        return clone(self, **how)

    monkeypatch.setattr(torch.Tensor, "clone", without_memory)
    assert torch.equal(plain, wan.sample(caching.cached(model, level="hidden"), STEPS))
    assert traces[0].failsafes() == {"out of memory": ROWS}


@pytest.mark.parametrize("level", ["output", "hidden"])
def test_after_one_error_the_next_evaluation_starts_anew(
    wan, caching, part, model, traces, monkeypatch, level
):
    history, calls = part("cache_core.store").History, []
    fill = history.fill

    def fail_once(self, *args):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("a defect")
        fill(self, *args)

    monkeypatch.setattr(history, "fill", fail_once)
    wan.sample(caching.cached(model, level=level, max_consecutive_skips=2), 9)
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == "CRRCCRRCR"
    assert traces[0].failsafes() == {"error": 1}


@pytest.mark.every_host
def test_a_sampling_that_cannot_be_followed_runs_without_the_cache(
    wan, caching, part, model, plain, traces, monkeypatch, caplog
):
    monkeypatch.setattr(part("cache_core").Schedule, "of", raising(RuntimeError))
    assert torch.equal(plain, wan.sample(caching.cached(model), STEPS))
    assert traces == []
    assert caplog.text.count("this sampling runs without the cache") == 1


def test_feedback_that_fails_costs_no_render(wan, caching, part, model, monkeypatch, caplog):
    cached = caching.cached(model)
    expected = wan.sample(cached, STEPS)
    wrappers = part("nodes.host.wrappers")
    for name in ("publish", "report_evaluation"):
        monkeypatch.setattr(wrappers, name, raising(OSError))
    wan.sample(cached, STEPS)
    assert caplog.text.count("computing after an error of its own") == 1
    assert torch.isfinite(expected).all()


@pytest.mark.every_host
def test_a_size_that_changes_within_a_sampling_is_computed(wan, caching, model, traces):
    def cropping(results):
        def function(evaluate, x, sigmas):
            for sigma, size in zip(sigmas[:-1], [8, 8, 4, 4, 8, 8], strict=True):
                results.append(evaluate(x[..., :size].contiguous(), sigma))
            return x

        return function

    expected, cached = [], []
    wan.sample_with(cropping(expected), model, steps=STEPS)
    for level in ("output", "hidden"):
        cached.clear()
        wan.sample_with(cropping(cached), caching.cached(model, level=level), steps=STEPS)
        assert caching.actions(traces[-1]) == "CRCRCR"
        assert traces[-1].failsafes() == {"changed input": 4}
        for index in (0, 2, 4):
            assert torch.equal(expected[index], cached[index])
