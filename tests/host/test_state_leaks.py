"""A sampling leaves nothing behind, however it ends."""

import gc
import weakref
from contextlib import contextmanager

import pytest
import torch

pytestmark = pytest.mark.every_host

LEVELS = ("output", "hidden")
PLACES = {
    "block 0": lambda wan: wan.blocks[0],
    "a middle block": lambda wan: wan.blocks[2],
    "the last block": lambda wan: wan.blocks[-1],
    "the head": lambda wan: wan.head,
}


@pytest.fixture
def tensors(part, monkeypatch):
    """Weak references to every tensor that a run keeps: values, and features of block 0."""
    kept = []
    history, policy = part("cache_core.store").History, part("cache_core").FBCache
    fill, features = history.fill, policy.features

    def watched_fill(self, *args):
        fill(self, *args)
        kept.append(weakref.ref(self.values[-1]))

    def watched_features(self, before, after):
        found = features(self, before, after)
        kept.append(weakref.ref(found))
        return found

    monkeypatch.setattr(history, "fill", watched_fill)
    monkeypatch.setattr(policy, "features", watched_features)
    return kept


@contextmanager
def second_call_raises(module, error):
    """The second call of ``module`` within the block raises ``error``."""
    calls, forward = [], module.forward

    def fail_once(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise error
        return forward(*args, **kwargs)

    module.forward = fail_once
    try:
        yield
    finally:
        del module.forward


def anatomy(model):
    """Everything a module tree could have been given: attributes and hooks, by module."""
    return {
        name: (sorted(vars(module)), len(module._forward_pre_hooks), len(module._forward_hooks))
        for name, module in model.model.diffusion_model.named_modules()
    }


def alive(tensors):
    gc.collect()
    return sum(tensor() is not None for tensor in tensors)


def fails(wan, cached, error):
    """True when sampling ends with ``error``; its traceback, which holds tensors, is let go."""
    try:
        wan.sample(cached)
    except BaseException as raised:  # an interrupt of the host is no Exception
        return type(raised) is type(error)
    return False


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate"])
def test_a_finished_sampling_leaves_nothing(
    wan, caching, model, tensors, run_separately, level, separately
):
    wan.sample(model)
    if separately:
        run_separately(model)
    before = anatomy(model)
    cached = caching.cached(model, level=level, max_consecutive_skips=1)
    options = {key: set(cached.model_options[key]) for key in cached.model_options}
    wan.sample(cached)
    assert anatomy(model) == before
    assert {key: set(cached.model_options[key]) for key in cached.model_options} == options
    assert len(tensors) > 8
    assert alive(tensors) == 0


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))
@pytest.mark.parametrize("kind", ["error", "interrupt"])
def test_a_sampling_that_fails_leaves_nothing(
    wan, caching, part, model, tensors, level, place, kind
):
    from comfy.model_management import InterruptProcessingException

    error = RuntimeError("broken") if kind == "error" else InterruptProcessingException()
    cached = caching.cached(model, level=level, max_consecutive_skips=1)
    clean = wan.sample(cached)
    before = anatomy(model)
    tensors.clear()

    with second_call_raises(place(model.model.diffusion_model), error):
        assert fails(wan, cached, error)
    error.__traceback__ = None

    run_key = part("nodes.host.keys").RUN_KEY
    for patcher in (model, cached):
        assert run_key not in patcher.model_options.get("transformer_options", {})
    assert anatomy(model) == before
    assert len(tensors) >= 2
    assert alive(tensors) == 0
    assert torch.equal(wan.sample(cached), clean)


@pytest.mark.parametrize("level", LEVELS)
def test_ctrl_c_in_code_of_the_pack_is_no_failsafe(
    wan, caching, part, model, traces, monkeypatch, level
):
    def ctrl_c(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(part("cache_core").FBCache, "distance", ctrl_c)
    assert fails(wan, caching.cached(model, level=level), KeyboardInterrupt())
    assert traces == []


def test_a_guider_that_outlives_its_sampling_holds_nothing(wan, caching, part, model, tensors):
    import comfy.samplers

    guider = comfy.samplers.CFGGuider(caching.cached(model))
    guider.set_conds(wan.conditioning(1), wan.conditioning(2))
    latent, noise = wan.latent_and_noise(model, 0, 1, (3, 8, 8))
    euler, sigmas = comfy.samplers.sampler_object("euler"), wan.schedule(model)
    with torch.inference_mode():
        first = guider.sample(noise, latent, euler, sigmas, disable_pbar=True, seed=0)
        assert part("nodes.host.keys").RUN_KEY not in guider.model_options["transformer_options"]
        assert alive(tensors) == 0
        again = guider.sample(noise, latent, euler, sigmas, disable_pbar=True, seed=0)
    assert torch.equal(first, again)
