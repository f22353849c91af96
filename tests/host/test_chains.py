"""Chains of Apply nodes: who is asked first, who is said to have decided, what is warned of."""

import logging
from itertools import permutations

import pytest
import torch

STEPS = 10


@pytest.fixture
def nodes(part):
    """Runs Apply nodes one after the other on a model."""
    from watching import execute

    def chain(model, *names, **more):
        for number, name in enumerate(names):
            node = getattr(part(f"nodes.{name.lower()}"), f"Apply{name}")
            model = execute(node, str(number), model=model, **more)[0]
        return model

    return chain


@pytest.fixture
def warnings(caplog):
    """What the pack warned of since it was last asked."""

    def read():
        told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        caplog.clear()
        return [line for line in told if "Wan Step Cache" in line]

    return read


def in_force(trace):
    return [method.method for method in trace.methods]


@pytest.mark.parametrize("chained", list(permutations(("FBCache", "TeaCache", "EasyCache"))))
def test_methods_are_asked_in_precedence_however_they_are_chained(wan, nodes, model, chained):
    config = nodes(model, *chained).model_options["transformer_options"]["wan_step_cache"]
    assert [choice.name for choice in config.methods] == ["FBCache", "TeaCache", "EasyCache"]


@pytest.mark.every_host
def test_the_method_that_decided_is_recorded_for_every_step(wan, caching, part, model, traces):
    """TeaCache is asked first and reuses once at most; MagCache has no limit."""
    guards = part("cache_core.config").GuardDefaults
    attach, recognise = part("nodes.host").attach, part("nodes.host").recognise
    method, options = part("cache_core").Method, part("cache_core").Options
    mag = method(caching.static("MagCache"), guards(0.0, 2, 3))
    tea = method(caching.static("TeaCache"), guards(0.0, 3, 1))
    cached = model
    for each in (mag, tea):
        cached = attach(cached, recognise(cached), each, options(on_few_steps="allow"))
    wan.sample(cached, STEPS)
    assert in_force(traces[0]) == ["TeaCache", "MagCache"]
    for branch in ("cond", "uncond"):
        decided = [record.method for record in traces[0].records if record.branch == branch]
        mag, tea = "MagCache", "TeaCache"
        assert decided == [None, tea, mag, mag, None, tea, mag, mag, None, None]


@pytest.mark.parametrize(
    ("chained", "words"),
    [
        (("FBCache", "FBCache"), ["FBCache is applied twice"]),
        (("TeaCache", "CustomCache"), ["TeaCache and CustomCache", "decides nothing"]),
        (("CustomCache", "TeaCache"), ["CustomCache and TeaCache", "decides nothing"]),
        (("AdaCache", "TaylorSeer"), ["AdaCache and TaylorSeer", "decides nothing"]),
    ],
)
def test_what_makes_no_sense_is_said_once_when_it_is_built(
    wan, nodes, warnings, model, chained, words
):
    cached = nodes(model, *chained)
    told = warnings()
    assert len(told) == 1 and all(word in told[0] for word in words)
    wan.sample(cached, 2)
    assert warnings() == []


def test_what_makes_sense_is_not_warned_of(nodes, warnings, model):
    nodes(model, "TeaCache", "FBCache", "AdaCache", "EasyCache")
    assert warnings() == []


@pytest.mark.parametrize("calibrate_first", [False, True])
def test_calibrating_a_cached_model_is_said_once(
    wan, nodes, part, warnings, model, tmp_path, monkeypatch, calibrate_first
):
    from watching import execute

    monkeypatch.setattr(part("nodes.host.calibrate"), "path_for", lambda name: tmp_path / name)
    node, name = part("nodes.calibrate").MagCacheCalibrate, "chained"
    if calibrate_first:
        made = nodes(execute(node, model=model, name=name)[0], "FBCache")
    else:
        made = execute(node, model=nodes(model, "FBCache"), name=name)[0]
    told = warnings()
    assert len(told) == 1 and "MagCache Calibrate and an Apply node" in told[0]
    assert torch.equal(wan.sample(made, 2), wan.sample(model, 2))


def test_different_options_in_a_chain_are_said_and_the_last_hold(
    wan, nodes, part, warnings, model, traces
):
    options = part("cache_core").Options
    mine, other = options(warmup_steps=3), options(warmup_steps=5)
    for first, second, said in (
        (mine, other, 1),
        (mine, mine, 0),
        (mine, None, 0),
        (None, mine, 0),
    ):
        nodes(nodes(model, "TeaCache", options=first), "FBCache", options=second)
        assert len(warnings()) == said
    cached = nodes(nodes(model, "TeaCache", options=mine), "FBCache", options=other)
    (told,) = warnings()
    assert "different Step Cache Options" in told and "the last ones hold" in told
    wan.sample(cached, STEPS)
    assert all("first 5 and" in method.numbers for method in traces[0].methods)
