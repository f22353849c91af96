"""A cache that never reuses changes no bit, and a model that was cached is untouched."""

import pytest
import torch

pytestmark = pytest.mark.every_host

LEVELS = ("output", "hidden")
NEVER = {"threshold 0": {"threshold": 0.0}, "warm-up only": {"warmup_steps": 1000}}


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def any_model(request, wan):
    return wan.random_wan(request.param, num_layers=2)


@pytest.fixture(scope="module")
def plain_sample(wan, any_model):
    """The uncached latents of a way to sample; made once."""
    known = {}

    def sample(*key, **how):
        if key not in known:
            known[key] = wan.sample(any_model, **how)
        return known[key]

    return sample


@pytest.mark.parametrize("never", NEVER.values(), ids=list(NEVER))
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate"])
@pytest.mark.parametrize(("cfg", "batch"), [(5.0, 1), (5.0, 2), (1.0, 1), (1.0, 2)])
def test_never_reusing_is_bit_identical(
    wan, caching, any_model, plain_sample, traces, run_separately,
    never, level, separately, cfg, batch,
):  # fmt: skip
    if separately:
        run_separately(any_model)
    how = {"cfg": cfg, "batch": batch, "steps": 4}
    plain = plain_sample(separately, cfg, batch, **how)
    armed = wan.sample(caching.cached(any_model, level=level, **never), **how)
    assert torch.equal(plain, armed)
    branches = {"cond": {"computed": 4, "reused": 0}, "uncond": {"computed": 4, "reused": 0}}
    if cfg == 1.0:
        del branches["uncond"]
    assert traces[0].counts() == branches
    assert traces[0].failsafes() == {}


@pytest.mark.parametrize("level", LEVELS)
def test_a_bypassed_node_leaves_the_model_as_it_was(wan, caching, any_model, traces, level):
    plain = wan.sample(any_model)
    cached = wan.sample(caching.cached(any_model, level=level))
    assert not torch.equal(plain, cached)
    assert torch.equal(plain, wan.sample(any_model))
    assert len(traces) == 1


@pytest.mark.parametrize("level", LEVELS)
def test_the_same_prompt_twice_is_bit_identical(wan, caching, any_model, traces, level):
    cached = caching.cached(any_model, level=level, max_consecutive_skips=2)
    assert torch.equal(wan.sample(cached), wan.sample(cached))
    assert caching.actions(traces[0]) == caching.actions(traces[1]) == "CRRCRRCR"


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_of_another_resolution_in_between_is_left(wan, caching, any_model, traces, level):
    cached = caching.cached(any_model, level=level)
    before = wan.sample(cached)
    wan.sample(cached, size=(2, 12, 4), batch=2, seed=5)
    assert torch.equal(before, wan.sample(cached))
    assert [caching.actions(trace) for trace in traces] == ["CRRRRRRR"] * 3
    assert [trace.failsafes() for trace in traces] == [{}] * 3


@pytest.mark.parametrize("level", LEVELS)
def test_two_models_sampled_in_turn_do_not_mix(wan, caching, model, level):
    models = [model, wan.random_wan(seed=7)]
    alone = [wan.sample(caching.cached(each, level=level)) for each in models]
    assert not torch.equal(*alone)
    cached = [caching.cached(each, level=level) for each in models]
    for _ in range(2):
        for which in (0, 1):
            assert torch.equal(wan.sample(cached[which]), alone[which])
