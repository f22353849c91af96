"""All neighbours on one model with weights in fp8, half of them loaded, and every kind of cache."""

from importlib import import_module

import pytest
import torch

WAY = {"steps": 12, "size": (2, 6, 6)}
OPTIONS = {
    "plain": {},
    "hidden in RAM as fp8": {"cache_level": "hidden", "cache_device": "cpu", "cache_dtype": "fp8"},
    "output in RAM": {"cache_level": "output", "cache_device": "cpu"},
}


@pytest.fixture(scope="module")
def others(pack):
    """Other nodes on the model: ``tests/support/neighbours.py``."""
    return import_module("neighbours")


@pytest.fixture(scope="module")
def watching(host):
    """Nodes as the host runs them: ``tests/support/watching.py``."""
    return import_module("watching")


@pytest.fixture(scope="module")
def crowded(others):
    """A model with every neighbour, weights in fp8."""
    model = import_module("weights").MODELS["fp8_e4m3fn, computed in bf16"]()
    for add in others.NEIGHBOURS.values():
        model = add(model)
    return others.with_fresh_patch(model)


@pytest.fixture
def chained(part, watching):
    """``chained(model, reuses, **options)``: every kind of method behind each other."""

    def build(model, reuses, **options):
        chosen = part("cache_core").Options(on_few_steps="allow", **options)
        for name, node, widgets in (
            ("fbcache", "ApplyFBCache", {"residual_diff_threshold": 1.0 if reuses else 0.0}),
            ("teacache", "ApplyTeaCache", {"rel_l1_thresh": 0.2 if reuses else 0.0}),
            ("easycache", "ApplyEasyCache", {"reuse_threshold": 1.0 if reuses else 0.0}),
            ("adacache", "ApplyAdaCache", {"codebook": "1000:3" if reuses else "1:1"}),
            ("cfgcache", "ApplyCFGCache", {"interval": 3 if reuses else 1}),
        ):
            made = getattr(part(f"nodes.{name}"), node)
            given = {"preset": "custom", "options": chosen, **widgets}
            model = watching.execute(made, model=model, **given)[0]
        return model

    return build


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_they_bear_each_other(wan, chained, crowded, partly_loaded, runs, options):
    partly_loaded(crowded, 0.5)
    plain = wan.sample(crowded, **WAY)
    assert torch.equal(plain, wan.sample(chained(crowded, False, **options), **WAY))
    seen = wan.sample(chained(crowded, True, **options), **WAY)
    assert seen.isfinite().all() and not torch.equal(plain, seen)
    for run in runs:
        assert run.trace.failsafes() == {}
        # two evaluations of a stranger are over before a pass that never comes twice is known
        assert 0 < run.trace.peak_bytes <= 2 * run.footprint.total


@pytest.mark.matrix
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("how", ["compiled", "by_blocks"])
def test_and_torch_compile(wan, others, chained, crowded, runs, how, options):
    compiled = getattr(others, how)(crowded, others.Graphs())
    plain = wan.sample(compiled, **WAY)
    assert torch.equal(plain, wan.sample(chained(compiled, False, **options), **WAY))
    seen = wan.sample(chained(compiled, True, **options), **WAY)
    assert seen.isfinite().all() and not torch.equal(plain, seen)
    for run in runs:
        assert run.trace.failsafes() == {} and run.trace.errors == 0
        assert run.trace.peak_bytes <= 2 * run.footprint.total
