"""The Apply node itself: what it returns, and what it says to models it cannot work with."""

import logging
from types import SimpleNamespace

import pytest
import torch

pytestmark = pytest.mark.every_host


@pytest.fixture
def apply(part):
    """Runs the node as ComfyUI's executor does: on a clone of the class, with its hidden inputs."""
    from comfy_api.latest import io

    node = part("nodes.fbcache").ApplyFBCache

    def execute(model, preset="custom", residual_diff_threshold=0.08, node_id="7", **more):
        hidden = {io.Hidden.unique_id: node_id, io.Hidden.prompt: {}}
        clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": hidden})
        return clone.EXECUTE_NORMALIZED(
            model=model, preset=preset, residual_diff_threshold=residual_diff_threshold, **more
        ).args

    return execute


@pytest.fixture
def config(part):
    return lambda patcher: part("nodes.host.keys").config_of(patcher.model_options)


def test_the_node_caches_a_clone(wan, apply, config, model, traces):
    cached, _ = apply(model, residual_diff_threshold=1.0)
    assert cached is not model
    assert cached.model is model.model
    assert config(model) is None
    wan.sample(cached, steps=10)
    assert traces[0].counts()["cond"]["reused"] > 0
    assert traces[0].methods[0].node == "7"
    assert traces[0].methods[0].settings["threshold"] == 1.0


def test_a_threshold_of_0_reuses_nothing(wan, apply, model, traces):
    assert torch.equal(wan.sample(model), wan.sample(apply(model, residual_diff_threshold=0.0)[0]))
    assert traces[0].counts()["cond"] == {"computed": 8, "reused": 0}


@pytest.mark.parametrize("preset", ["quality", "balanced", "fast"])
def test_a_preset_puts_its_own_numbers_in_place(wan, apply, part, model, traces, preset):
    presets = part("cache_core.fbcache_presets")
    wan.sample(apply(model, preset, residual_diff_threshold=0.9)[0], steps=10)
    method = traces[0].methods[0]
    threshold, source = presets.fbcache_threshold("other", "residual_rel_l1", preset)
    assert method.settings["threshold"] == threshold
    assert (method.preset, method.source) == (preset, source)


def test_without_a_second_expert_its_output_blocks(apply, model):
    from comfy_execution.graph_utils import ExecutionBlocker

    _, low = apply(model)
    assert isinstance(low, ExecutionBlocker)
    assert "low_noise_model" in low.message


def test_a_second_expert_is_cached_with_its_own_numbers(wan, apply, part, config, model, traces):
    other = wan.random_wan(seed=7, num_layers=2)
    high, low = apply(model, residual_diff_threshold=1.0, low_noise_model=other)
    assert (high.model, low.model) == (model.model, other.model)
    assert (config(high).identity.layers, config(low).identity.layers) == (4, 2)
    assert "high noise" in config(high).identity.label
    assert "low noise" in config(low).identity.label
    for patcher, original in ((high, model), (low, other)):
        assert not torch.equal(wan.sample(patcher, 10), wan.sample(original, 10))
    assert [trace.probe_share for trace in traces] == [1 / 4, 1 / 2]


def test_applied_twice_the_later_node_counts(wan, apply, config, model, traces, caplog):
    once, _ = apply(model, residual_diff_threshold=1.0, node_id="1")
    assert "applied twice" not in caplog.text
    twice, _ = apply(once, residual_diff_threshold=0.0, node_id="2")
    assert caplog.text.count("FBCache is applied twice; the later node replaces the earlier") == 1
    assert [method.node_id for method in config(twice).methods] == ["2"]
    assert [method.node_id for method in config(once).methods] == ["1"]
    assert torch.equal(wan.sample(twice), wan.sample(model))
    assert len(traces) == 1
    assert len(traces[0].records) == 16
    wan.sample(once, steps=10)
    assert traces[1].counts()["cond"]["reused"] > 0


def test_options_of_the_options_node_are_obeyed(wan, apply, part, caching, model, traces):
    node = part("nodes.options").StepCacheOptions
    options = node.execute(0.0, 1.0, 2, 1, -1, "cond", "hidden", False, "allow").args[0]
    wan.sample(apply(model, residual_diff_threshold=1.0, options=options)[0])
    assert caching.actions(traces[0]) == "CCRRRCRC"
    assert traces[0].level == "hidden"


def unet():
    """The host's class for Stable Diffusion, as small as it gets."""
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    return UNetModel(
        image_size=8, in_channels=4, out_channels=4, model_channels=32, num_res_blocks=[1],
        channel_mult=(1,), num_heads=1, transformer_depth=[0], transformer_depth_output=[0, 0],
        transformer_depth_middle=-1, operations=comfy.ops.manual_cast,
    )  # fmt: skip


@pytest.mark.parametrize("second", [False, True], ids=["first", "second"])
def test_a_model_that_is_no_wan_is_refused_by_name(apply, part, model, second):
    other = SimpleNamespace(get_model_object={"diffusion_model": unet()}.get, model_options={})
    with pytest.raises(part("cache_core").StepCacheError, match="UNetModel") as refused:
        apply(model, low_noise_model=other) if second else apply(other)
    slot = "low_noise_model" if second else "model"
    assert str(refused.value).startswith(f"`{slot}` is a UNetModel, but Wan Step Cache works")


CHOICES = {
    "FBCache": ("preset", "metric"),
    "TeaCache": ("preset", "model_variant"),
    "MagCache": ("preset",),
    "TaylorSeer": ("preset", "time_axis"),
    "AdaCache": ("preset",),
    "CustomCache": ("preset", "model_variant", "time_axis"),
    "EasyCache": ("preset",),
    "CFGCache": ("preset",),
}


@pytest.mark.parametrize(
    ("method", "name"), [(method, name) for method, names in CHOICES.items() for name in names]
)
def test_a_linked_word_that_is_no_option_is_refused_with_the_options(part, model, method, name):
    """The host compares typed words only."""
    from watching import execute

    node = getattr(part(f"nodes.{method.lower()}"), f"Apply{method}")
    told = node.GET_NODE_INFO_V1()["input"]
    options = {**told["required"], **told["optional"]}[name][1]["options"]
    with pytest.raises(part("cache_core").StepCacheError) as refused:
        execute(node, model=model, **{name: "turbo"})
    assert str(refused.value) == f"`{name}` is 'turbo', but must be one of {', '.join(options)}."


def test_the_log_says_what_a_run_did(wan, apply, model, caplog):
    with caplog.at_level(logging.INFO):
        wan.sample(apply(model, residual_diff_threshold=1.0)[0], steps=10)
    lines = [r.getMessage() for r in caplog.records if "reused" in r.getMessage()]
    assert len(lines) == 1
    for words in ("FBCache custom", "residual_rel_l1 < 1", "cond ", " of 10 reused", "failsafes"):
        assert words in lines[0]
