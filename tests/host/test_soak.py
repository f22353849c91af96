"""Two hundred short samplings of random kinds: none fails, none leaves anything behind.

One is repeated by its number: ``pytest tests/host/test_soak.py -k "[137]"``.
"""

import gc
import json
import logging
from collections import Counter
from importlib import import_module

import psutil
import pytest
import torch

log = logging.getLogger(__name__)
RUNS = 200
SETTLED = 50
"""Runs after which the process has all the memory it needs."""
GROWTH = 32 * 2**20
"""Bytes that the process may grow by in the rest: allocators keep a little of anything."""


def raising(error):
    def fail(*args, **kwargs):
        raise error

    return fail


def unknown(vote, *args):
    """A method's vote on a distance that is no number."""
    policy, state, distance, *more = args
    return vote(policy, state, None if distance is None else float("nan"), *more)


FAULTS = {
    "policy": ("cache_core.run", None, "vote", RuntimeError),
    "forecast": ("cache_core.forecast", "Forecast", "weights", RuntimeError),
    "store": ("cache_core.store", "History", "fill", RuntimeError),
    "difference": ("cache_core.guidance", "Guidance", "restore", RuntimeError),
    "memory": ("cache_core.keeping", None, "pack", torch.OutOfMemoryError),
    "metric": ("cache_core.run", None, "vote", None),
    "interrupt": None,
}
"""What goes wrong: the part of the pack that fails, and how; None for a metric that is no number.

The interrupt is the host's.
"""
ERRORS = ("policy", "forecast", "store", "difference")
"""Faults that are told as errors of the pack."""


@pytest.fixture(scope="module")
def soaking(pack):
    """Random samplings: ``tests/support/soaking.py``."""
    return import_module("soaking")


@pytest.fixture(scope="module")
def model(wan, soaking):
    """Two blocks are enough here, and fast."""
    return wan.random_wan(num_layers=soaking.BLOCKS)


@pytest.fixture(scope="module")
def told(wan, model):
    """What the runs have told so far: bytes of the process after each, and reused steps in all.

    What is there before the first of them is left out of counts, so that these are fast.
    """
    wan.sample(model, 2)
    gc.collect()
    gc.freeze()
    yield {"bytes": [], "counts": Counter()}
    gc.unfreeze()


@pytest.fixture
def sabotage(part, monkeypatch):
    """``sabotage(fault, at)``: it happens at its n-th chance; the list returned tells if it did."""

    def prepare(fault, at):
        module, owner, name, error = FAULTS[fault]
        target = part(module) if owner is None else getattr(part(module), owner)
        original, calls, happened = getattr(target, name), [], []

        def attempt(*args):
            calls.append(1)
            if len(calls) != at:
                return original(*args)
            happened.append(1)
            if error is None:
                return unknown(original, *args)
            raise error("on purpose")

        monkeypatch.setattr(target, name, attempt)
        return happened

    return prepare


def interrupted_at(model, at):
    """A clone whose n-th computed call is interrupted as the host does it."""
    from comfy.model_management import InterruptProcessingException
    from comfy.patcher_extension import WrappersMP

    clone, calls = model.clone(), []

    def diffusion_model(executor, *args, **kwargs):
        calls.append(1)
        if len(calls) == at:
            raise InterruptProcessingException
        return executor(*args, **kwargs)

    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "interrupt", diffusion_model)
    return clone


def latents(wan, model, way):
    """Of one sampling; None if the host interrupted it."""
    from comfy.model_management import InterruptProcessingException

    try:
        return wan.sample(model, **way)
    except InterruptProcessingException:
        return None


def living_tensors():
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


def anatomy(model):
    """Everything that a run could have left in a model: attributes, hooks, options."""
    modules = {
        name: (sorted(vars(module)), len(module._forward_pre_hooks), len(module._forward_hooks))
        for name, module in model.model.diffusion_model.named_modules()
    }
    return modules, {key: set(value) for key, value in model.model_options.items()}


@pytest.fixture
def nothing_left(told, caplog):
    """Afterwards no tensor lives that did not before; logged errors hold theirs until then."""
    before = living_tensors()
    yield
    caplog.get_records("call").clear()
    assert living_tensors() <= before
    told["bytes"].append(psutil.Process().memory_info().rss)


@pytest.mark.parametrize("number", range(RUNS))
def test_run(
    nothing_left, wan, model, soaking, told, traces, run_separately, sabotage, caplog, number
):
    case = soaking.drawn(number, list(FAULTS))
    log.info("%s", case)  # shown when the run fails
    if case.separately:
        run_separately(model)
    plain = wan.sample(model, **case.way) if case.neutral else None
    cached = case.on(model)
    before = anatomy(model), anatomy(cached)
    interrupted = case.fault == "interrupt"
    happened = sabotage(case.fault, case.at) if case.fault and not interrupted else []
    found = latents(wan, interrupted_at(cached, case.at) if interrupted else cached, case.way)
    assert (anatomy(model), anatomy(cached)) == before
    assert "runs without the cache" not in caplog.text
    if interrupted and found is None:
        return
    assert torch.isfinite(found).all()
    assert plain is None or torch.equal(found, plain)
    (trace,) = traces
    as_it_should_be_told(trace, case, happened)
    for row in trace.counts().values():
        told["counts"].update(row)


def as_it_should_be_told(trace, case, happened):
    """The trace is plain JSON, reuses nothing in vain, and tells of a fault if there was one."""
    json.dumps(trace.as_json(), allow_nan=False)
    failsafes = trace.failsafes()
    assert not case.neutral or not any(row["reused"] for row in trace.counts().values())
    assert bool(failsafes.get("error")) == bool(happened and case.fault in ERRORS)
    ran_out = any(note.startswith("out of memory") for note in trace.notes)
    assert ran_out == bool(happened and case.fault == "memory")


def test_the_process_has_not_grown(told):
    if len(told["bytes"]) < RUNS:
        pytest.skip("needs all runs before it")
    assert told["bytes"][-1] - told["bytes"][SETTLED] < GROWTH


def test_a_good_part_of_the_steps_was_reused(told):
    if len(told["bytes"]) < RUNS:
        pytest.skip("needs all runs before it")
    assert told["counts"]["reused"] > 0.1 * told["counts"]["computed"]
