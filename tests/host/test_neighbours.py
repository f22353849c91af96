"""Patches of other packs on the same model keep working, with and without reuse."""

import pytest
import torch

pytestmark = pytest.mark.every_host

LEVELS = ("output", "hidden")


class BlockPatch:
    """Another pack's replacement of a block: runs it, changes its result, counts."""

    def __init__(self, scale):
        self.scale = scale
        self.calls = 0

    def __call__(self, args, extra):
        self.calls += 1
        return {"img": extra["original_block"](args)["img"] * self.scale}


@pytest.fixture
def patches():
    return {0: BlockPatch(1.01), 2: BlockPatch(0.97)}


@pytest.fixture
def patched(model, patches):
    clone = model.clone()
    for index, patch in patches.items():
        clone.set_model_patch_replace(patch, "dit", "double_block", index)
    return clone


@pytest.mark.parametrize("level", LEVELS)
def test_block_patches_compose_to_the_bit(wan, caching, model, patched, patches, level):
    plain = wan.sample(patched)
    assert not torch.equal(plain, wan.sample(model))
    assert [patch.calls for patch in patches.values()] == [8, 8]
    assert torch.equal(plain, wan.sample(caching.cached(patched, 0.0, level)))
    assert [patch.calls for patch in patches.values()] == [16, 16]


@pytest.mark.parametrize("level", LEVELS)
def test_block_patches_put_on_after_the_cache_compose_too(
    wan, caching, model, patched, patches, level
):
    plain = wan.sample(patched)
    cached = caching.cached(model, 0.0, level)
    for index, patch in patches.items():
        cached.set_model_patch_replace(patch, "dit", "double_block", index)
    assert torch.equal(plain, wan.sample(cached))


@pytest.mark.parametrize("level", LEVELS)
def test_reuse_calls_the_patch_on_block_0_and_skips_the_others(
    wan, caching, traces, patched, patches, level
):
    wan.sample(caching.cached(patched, 1.0, level, max_consecutive_skips=2))
    assert caching.actions(traces[0]) == "CRRCRRCR"
    assert [patch.calls for patch in patches.values()] == [8, 3]


@pytest.mark.parametrize("level", LEVELS)
def test_the_options_of_a_model_call_stay_as_they_were(wan, caching, patched, patches, level):
    from comfy.patcher_extension import WrappersMP

    found = []

    def look(executor, *args, **kwargs):
        output = executor(*args, **kwargs)
        found.append(args[5]["patches_replace"]["dit"])
        return output

    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "outer", look)
    wan.sample(caching.cached(patched, 1.0, level, max_consecutive_skips=1))
    original = {("double_block", index): patch for index, patch in patches.items()}
    assert found == [original] * 8


@pytest.mark.parametrize("level", LEVELS)
def test_reuse_contains_what_block_patches_did(wan, caching, traces, patched, level):
    cached = caching.cached(patched, level=level, max_consecutive_skips=1)
    caching.assert_reuse_is_exact(wan.evaluated_twice(cached, steps=5), level)
    assert caching.actions(traces[0]) == "CR" * 5


@pytest.mark.parametrize("level", LEVELS)
def test_reuse_contains_what_was_written_into_blocks_outputs(wan, caching, model, traces, level):
    called = []

    def add_in_place(args):
        called.append(args["block_index"])
        args["img"] += torch.linspace(0, 1 + args["block_index"], wan.DIM)
        return args

    clone = model.clone()
    clone.set_model_patch(add_in_place, "double_block")
    plain = wan.sample(clone)
    if not called:
        pytest.skip("this ComfyUI calls no patches behind the blocks of Wan")
    assert torch.equal(plain, wan.sample(caching.cached(clone, 0.0, level)))
    cached = caching.cached(clone, level=level, max_consecutive_skips=1)
    caching.assert_reuse_is_exact(wan.evaluated_twice(cached, steps=5), level)
    assert caching.actions(traces[1]) == "CR" * 5


@pytest.fixture
def slg(model):
    """Skip-layer guidance: a third pass per evaluation, of cond without block 2."""
    from comfy_extras.nodes_slg import SkipLayerGuidanceDiT

    def guide(start_percent=0.0):
        return SkipLayerGuidanceDiT.execute(
            model, 3.0, start_percent, 1.0, double_layers="2", single_layers=""
        ).args[0]

    return guide


@pytest.mark.parametrize("level", LEVELS)
def test_skip_layer_guidance_composes_to_the_bit(wan, caching, model, slg, traces, level):
    guided = slg()
    plain = wan.sample(guided)
    assert not torch.equal(plain, wan.sample(model))
    assert torch.equal(plain, wan.sample(caching.cached(guided, 0.0, level)))
    assert traces[0].counts()["cond"]["computed"] == 16


@pytest.mark.parametrize("level", LEVELS)
def test_the_pass_of_skip_layer_guidance_has_a_memory_of_its_own(wan, caching, slg, traces, level):
    cached = caching.cached(slg(), level=level, max_consecutive_skips=1)
    caching.assert_reuse_is_exact(wan.evaluated_twice(cached, steps=5), level)
    assert caching.actions(traces[0]) == "CCRR" * 5
    assert caching.actions(traces[0], "uncond") == "CR" * 5


def test_guidance_that_starts_later_starts_computed(wan, caching, slg, traces):
    guided = slg(start_percent=0.5)
    wan.sample(caching.cached(guided))
    *_, last = caching.evaluations(traces[0])
    assert [record.branch for record in last].count("cond") == 2
    assert caching.reasons(traces[0]).count("first evaluation") == 2
    assert traces[0].failsafes() == {}


@pytest.mark.parametrize("level", LEVELS)
def test_a_model_being_compiled_runs_as_it_is(wan, caching, model, traces, monkeypatch, level):
    plain = wan.sample(model)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(plain, wan.sample(caching.cached(model, 1.0, level)))
    assert traces[0].records == []
