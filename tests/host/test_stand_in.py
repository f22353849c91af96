"""At level hidden a stand-in of the model runs: others that act on the model or around it stay."""

from types import MethodType

import pytest

METHODS = ("FBCache", "MagCache")


@pytest.fixture
def cached(caching):
    """A method that reuses every second step, at level hidden."""

    def on(model, name):
        if name == "FBCache":
            return caching.cached(model, level="hidden", max_consecutive_skips=1)
        static = caching.static(name)
        return caching.with_policies(model, static, level="hidden", max_consecutive_skips=1)

    return on


@pytest.fixture
def engine(model):
    """A forward that an engine for many GPUs has put onto the model; how often it has run."""
    wan, ran = model.model.diffusion_model, []

    def forward_orig(self, *args, **kwargs):
        ran.append(1)
        return type(self).forward_orig(self, *args, **kwargs)

    wan.forward_orig = MethodType(forward_orig, wan)
    yield lambda: len(ran)
    del wan.forward_orig


@pytest.mark.every_host
@pytest.mark.parametrize("name", METHODS)
def test_a_forward_put_onto_the_model_is_run_and_bypassed_as_its_own(
    wan, caching, model, cached, engine, traces, name
):
    with caching.module_calls(model) as count:
        wan.sample(cached(model, name), 6)
        blocks = [count(f"blocks.{i}.ffn.0") for i in range(4)]
    assert caching.actions(traces[0]) == "CRCRCR"
    assert blocks == [6 if name == "FBCache" else 3, 3, 3, 3]
    assert engine() == (9 if name == "FBCache" else 6)


@pytest.mark.every_host
@pytest.mark.parametrize("name", METHODS)
def test_wrappers_nearer_to_the_model_run_once_a_call_and_see_a_whole_one(
    wan, model, caching, cached, traces, name
):
    """Two passes for a reuse are the model's business, not theirs."""
    from comfy.patcher_extension import WrappersMP

    seen = []

    def nearer(executor, *args, **kwargs):
        output = executor(*args, **kwargs)
        seen.append((executor.class_obj is model.model.diffusion_model, tuple(output.shape)))
        return output

    patched = cached(model, name)
    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "nearer", nearer)
    wan.sample(patched, 6)
    assert caching.actions(traces[0]) == "CRCRCR"
    assert seen == [(True, (2, 16, 3, 8, 8))] * 6
