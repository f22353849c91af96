"""Weights of every kind, wherever they lie: what is computed is the same, and reuse needs none."""

from importlib import import_module

import pytest
import torch

HIDDEN = pytest.param("hidden", marks=pytest.mark.matrix)
LEVELS = ["output", HIDDEN]
IN_CI = ("bf16, computed in bf16", "fp8_e4m3fn weights", "fp8_scaled")
NAMES = (
    *IN_CI,
    *(
        pytest.param(name, marks=pytest.mark.matrix)
        for name in (
            *("fp16 weights", "bf16 weights", "fp16, computed in fp16"),
            *("fp8_e4m3fn, computed in bf16", "fp8_e5m2 weights"),
        )
    ),
)
WAY = {"steps": 6, "size": (2, 6, 6)}
ONE = {"max_consecutive_skips": 1}
PARTS = {"none of it": 0.0, "half of it": 0.5}
"""The share of the model that is loaded."""


@pytest.fixture(scope="module")
def weights(pack):
    """Models by their weights: ``tests/support/weights.py``."""
    return import_module("weights")


@pytest.fixture(scope="module")
def others(pack):
    """Other nodes on the model: ``tests/support/neighbours.py``."""
    return import_module("neighbours")


@pytest.fixture(scope="module")
def watching(host):
    """Counts by evaluation: ``tests/support/watching.py``."""
    return import_module("watching")


@pytest.fixture(scope="module")
def of_weights(weights):
    """``of_weights(name)``: a model with weights of this kind, loaded once."""
    loaded = {}

    def find(name):
        if name not in loaded:
            loaded[name] = weights.MODELS[name]()
        return loaded[name]

    return find


def stored(model):
    """The type of a weight in the blocks."""
    return model.model.diffusion_model.blocks[0].ffn[0].weight.dtype


def test_every_kind_is_tried(weights):
    assert {getattr(name, "values", (name,))[0] for name in NAMES} == set(weights.MODELS)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", NAMES)
def test_weights_of_any_kind_compute_the_same_and_are_reused_exactly(
    wan, caching, of_weights, traces, tell, name, level
):
    model = of_weights(name)
    plain = wan.sample(model, **WAY)
    assert plain.isfinite().all()
    assert torch.equal(plain, wan.sample(caching.cached(model, 0.0, level), **WAY))
    cached = caching.cached(model, level=level, **ONE)
    pairs = wan.evaluated_twice(cached, steps=4, size=WAY["size"])
    assert caching.actions(traces[1]) == "CR" * 4
    tolerance = 0 if level == "output" else torch.finfo(model.model.get_dtype_inference()).eps
    for computed, reused in pairs:
        assert (computed - reused).abs().max() <= 40 * tolerance * computed.abs().max()
    tell("Neighbours", f"Weights: {name}", result="identical", reuse="exact")


def test_weights_are_what_they_are_said_to_be(of_weights):
    """Or the table would say nothing."""
    assert stored(of_weights("fp8_e4m3fn weights")) == torch.float8_e4m3fn
    bf16 = of_weights("bf16, computed in bf16")
    assert bf16.model.get_dtype_inference() == stored(bf16) == torch.bfloat16
    scaled = of_weights("fp8_scaled").model.diffusion_model.blocks[0].ffn[0].weight
    assert type(scaled).__name__ == "QuantizedTensor"


@pytest.fixture
def casts(monkeypatch):
    """``casts()``: weights that were fetched for a layer since now."""
    import comfy.ops

    fetched, fetch = [], comfy.ops.cast_bias_weight

    def counting(*args, **kwargs):
        fetched.append(1)
        return fetch(*args, **kwargs)

    monkeypatch.setattr(comfy.ops, "cast_bias_weight", counting)
    return lambda: len(fetched)


@pytest.mark.parametrize("name", ["bf16, computed in bf16", "fp8_e4m3fn weights"])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_model_that_is_partly_loaded_computes_the_same_and_reuse_fetches_no_weights(
    wan, caching, watching, others, weights, partly_loaded, casts, tell, name, part, level
):
    """With a LoRA that the host adds to what it fetches."""
    model = others.with_lora(weights.MODELS[name]())
    seen, fetched = watching.watched(model, casts)
    partly_loaded(seen, PARTS[part])
    plain = wan.sample(seen, **WAY)
    assert seen.model.model_lowvram and seen.loaded_size() <= PARTS[part] * seen.model_size() + 1
    assert min(fetched) > 0
    assert torch.equal(plain, wan.sample(caching.cached(seen, 0.0, level), **WAY))
    del fetched[:]
    static = caching.with_policies(seen, caching.static("TeaCache"), level=level, **ONE)
    wan.sample(static, **WAY)
    *start, computed, reused = fetched
    assert start[1:] == [reused, computed, reused] and start[0] > computed  # TeaCache looks ahead
    assert reused == 0 if level == "output" else computed > 5 * reused
    tell("Neighbours", f"Low VRAM: {part} loaded", result="identical", reuse="fetches no weights")
