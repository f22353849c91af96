"""Whatever goes wrong inside the cache is computed, counted and told, and never ends a render."""

import gc
import json
import logging
import weakref
from dataclasses import dataclass, replace
from itertools import count

import pytest
import torch
from toy import (
    Rows,
    ToyModel,
    batched,
    call_of,
    evaluate,
    make_run,
    pattern,
    sample,
    split,
    story,
)

import cache_core.call
import cache_core.recall
from cache_core import FBCache
from cache_core.decision import Reason

PARTS = ("start", "features", "distance", "judge", "skipped", "computed")
STEADY = [1.0] * 8


class Failing:
    """FBCache in which one part fails at certain calls of it, counted from 1; at all if none."""

    def __init__(self, part, *at, error=ZeroDivisionError):
        inner = FBCache(0.1, downsample=1)
        self.name, self.looks_at = inner.name, inner.looks_at
        self.calls, self.at, self.error = 0, at, error
        for name in (*PARTS, "describe"):
            setattr(self, name, getattr(inner, name))
        setattr(self, part, self.failing(getattr(inner, part)))

    def failing(self, part):
        def attempt(*args):
            self.calls += 1
            if not self.at or self.calls in self.at:
                raise self.error("on purpose")
            return part(*args)

        return attempt


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("script", [batched(*STEADY), split(*STEADY)], ids=["batched", "split"])
def test_a_method_that_always_fails_costs_the_cache_and_nothing_else(part, script):
    run = make_run(Failing(part))
    values = sample(run, script)
    assert pattern(run) == pattern(run, "uncond") == "C" * 8
    assert sorted(n for calls in values for call in calls for n in call) == list(range(1, 17))
    assert run.trace.errors >= 7
    assert run.trace.failsafes()["error"] == run.trace.errors


@pytest.mark.parametrize(
    ("part", "at"),
    [
        *[("start", 1), ("features", 3), ("distance", 3), ("judge", 2)],
        *[("skipped", 2), ("computed", 1)],
    ],
)
@pytest.mark.parametrize("script", [batched(*STEADY), split(*STEADY)], ids=["batched", "split"])
@pytest.mark.parametrize("mode", ["cond", "separate"])
def test_after_a_single_failure_the_cache_recovers(part, at, script, mode):
    run = make_run(Failing(part, at), cfg_mode=mode)
    sample(run, script)
    assert run.trace.errors == 1
    for branch in ("cond", "uncond"):
        assert pattern(run, branch).endswith("RRR")
        assert pattern(run, branch).count("C") <= 5
    assert len(run.trace.records) == 16


def test_a_failed_decision_is_told_as_an_error():
    run = make_run(Failing("features", 3))
    sample(run, batched(*STEADY[:5]))
    assert story(run)[1:] == [
        "cond reuse (below threshold), uncond reuse (below threshold)",
        "cond compute (error), uncond compute (error)",
        "cond compute (first evaluation), uncond compute (first evaluation)",
        "cond reuse (below threshold), uncond reuse (below threshold)",
    ]


def test_failures_are_counted_but_logged_in_full_only_once(caplog):
    run = make_run(Failing("features"))
    with caplog.at_level(logging.WARNING):
        sample(run, batched(*STEADY))
    assert run.trace.errors == 8
    (logged,) = caplog.records
    assert logged.levelname == "WARNING" and logged.exc_info[0] is ZeroDivisionError


class BrokenForecast:
    """Cannot say what a reused value is, the first ``times`` times."""

    depth, corrects, anchor = 1, False, "velocity"

    def __init__(self, times):
        self.left = times

    def weights(self, positions, at):
        self.left -= 1
        if self.left >= 0:
            raise ArithmeticError("no forecast")
        return [0.0] * (len(positions) - 1) + [1.0]


@pytest.mark.parametrize("script", [batched(*STEADY), split(*STEADY)], ids=["batched", "split"])
@pytest.mark.parametrize("times", [1, 999])
def test_a_forecast_that_fails_is_computed(script, times):
    run = make_run()
    run.forecast = BrokenForecast(times)
    sample(run, script)
    if times == 1:
        assert run.trace.errors == 1
        assert pattern(run).endswith("RRRRR") and pattern(run, "uncond").endswith("RRRRR")
    else:
        assert pattern(run) == pattern(run, "uncond") == "C" * 8
    reasons = {r.reason for r in run.trace.records if r.reason is Reason.ERROR}
    assert reasons == {Reason.ERROR}


def fails_at(function, at, error):
    """The function, which fails the n-th time."""
    calls = count(1)

    def attempt(*args, **kwargs):
        if next(calls) == at:
            raise error
        return function(*args, **kwargs)

    return attempt


WHERE = {"a buffer": (torch, "empty"), "its content": (cache_core.call, "keep")}
NO_MEMORY = {
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    "pinned": RuntimeError("CUDA error: out of memory"),
    "linux": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
    "windows": RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9"),
    "python": MemoryError("no room"),
}


@pytest.mark.parametrize("where", WHERE.values(), ids=WHERE.keys())
@pytest.mark.parametrize("script", [batched(*STEADY), split(*STEADY)], ids=["batched", "split"])
@pytest.mark.parametrize("error", NO_MEMORY.values(), ids=NO_MEMORY.keys())
@pytest.mark.parametrize("at", [1, 2])
def test_out_of_memory_while_keeping_a_value_ends_the_cache_and_nothing_else(
    script, at, error, where, monkeypatch, caplog
):
    run, model = make_run(), ToyModel()
    monkeypatch.setattr(*where, fails_at(getattr(*where), at, error))
    values = sample(run, script, model=model)
    assert pattern(run) == pattern(run, "uncond") == "C" * 8
    assert sorted(n for calls in values for call in calls for n in call) == list(range(1, 17))
    assert run.store.nbytes == 0 and all(group.nbytes == 0 for group in run.groups.values())
    assert set(story(run)[1:]) == {"cond compute (out of memory), uncond compute (out of memory)"}
    assert run.trace.failsafes()["out of memory"] >= 14 and run.trace.errors == 0
    assert [note.split(":")[0] for note in run.trace.notes] == [
        "out of memory while keeping values"
    ]
    assert caplog.text.count("out of memory while keeping values") == 1


def test_out_of_memory_while_a_value_is_made_computes_instead(monkeypatch):
    run, model = make_run(), ToyModel()
    recall = fails_at(cache_core.recall.recall, 3, torch.OutOfMemoryError("on purpose"))
    monkeypatch.setattr(cache_core.recall, "recall", recall)
    sample(run, batched(*STEADY), model=model)
    assert pattern(run) == "CRCCCCCC"
    assert run.trace.failsafes() == {"out of memory": 12}


def test_an_error_that_is_no_lack_of_memory_is_not_final(monkeypatch):
    run = make_run()
    error = RuntimeError("CUDA error: device-side assert triggered")
    monkeypatch.setattr(cache_core.call, "keep", fails_at(cache_core.call.keep, 1, error))
    sample(run, batched(*STEADY), model=ToyModel())
    assert pattern(run) == "CCRRRRRR"
    assert run.trace.failsafes() == {"error": 1}


def test_the_whole_cache_is_dropped_on_a_failure_even_what_was_good():
    run, model = make_run(Failing("features", 2)), ToyModel()
    evaluate(run, batched(1.0)[0], 1.0, model)
    assert run.store.nbytes > 0
    run.begin(torch.tensor([0.9]))
    call_of(run, batched(1.0)[0][0]).observe(*model.block_0(batched(1.0)[0][0]))
    assert run.store.nbytes == 0
    assert all(group.nbytes == 0 for group in run.groups.values())


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interrupts_are_not_failures(interrupt):
    run = make_run(Failing("features", error=interrupt))
    with pytest.raises(interrupt):
        sample(run, batched(1.0))
    assert run.trace.errors == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("mode", ["cond", "separate"])
def test_a_model_gone_bad_is_computed_and_its_trace_is_plain_json(value, mode):
    run = make_run(cfg_mode=mode)
    sample(run, batched(1.0, value, value, 1.0, 1.0))
    assert pattern(run)[1:3] == "CC"
    assert run.trace.failsafes()["metric not finite"] >= 2
    json.dumps(run.trace.as_json(), allow_nan=False)


def test_without_a_single_observation_everything_is_computed():
    run, model = make_run(), ToyModel()
    for sigma in run.schedule.sigmas[:3]:
        run.begin(torch.tensor([sigma]))
        call = call_of(run, [Rows("cond")])
        call.give_up(Reason.NOT_OBSERVED)
        call.record_output(model.rest([Rows("cond")]))
        call.close(0.0)
        run.end()
    assert story(run) == ["cond compute (block patch not called)"] * 3
    assert [record.step for record in run.trace.records] == [0, 1, 2]


def test_close_lets_go_of_every_tensor(monkeypatch):
    kept, fill = [], cache_core.call.keep

    def watched_fill(*args):
        kept.append(weakref.ref(args[-1]))
        return fill(*args)

    monkeypatch.setattr(cache_core.call, "keep", watched_fill)

    @dataclass(frozen=True)
    class Watched(FBCache):
        def features(self, before, after):
            features = super().features(before, after)
            kept.append(weakref.ref(features))
            return features

    run = make_run(replace(Watched(0.1), downsample=1))
    sample(run, split(1.0, 1.0, 3.0, 3.0))
    gc.collect()
    alive = {id(ref()) for ref in kept if ref() is not None}
    assert len(alive) == 3  # two branches and the reference
    del alive
    run.close()
    gc.collect()
    assert [ref() for ref in kept if ref() is not None] == []
    assert run.trace.peak_bytes > 0
