"""TaylorSeer's plan, and what the presets of the new nodes do to a trained model."""

from functools import cache
from importlib import import_module

import pytest
import torch

PLANS = {
    "as by default": ({}, 13, "CCCCCCRRCRRCC"),
    "interval 1": ({"interval": 1}, 13, "CCCCCCCCCCCCC"),
    "interval 2": ({"interval": 2, "first_enhance": 1}, 13, "CRCRCRCRCRCRC"),
    "interval 5": ({"interval": 5, "first_enhance": 2}, 13, "CCRRRRCRRRRCC"),
    "never again": ({"interval": 20, "first_enhance": 3}, 13, "CCCRRRRRRRRRC"),
    "no first": ({"interval": 3, "first_enhance": 0}, 13, "CRRCRRCRRCRRC"),
    "no last": ({"interval": 4, "first_enhance": 1, "last_steps": 0}, 12, "CRRRCRRRCRRR"),
    "three last": ({"interval": 4, "first_enhance": 1, "last_steps": 3}, 12, "CRRRCRRRCCCC"),
    "all first": ({"first_enhance": 1000}, 13, "C" * 13),
}


@pytest.fixture(scope="session")
def watching(host):
    return import_module("watching")


@pytest.fixture(scope="session")
def nodes(part):
    """Apply nodes by method."""
    return {
        name: getattr(part(f"nodes.{name.lower()}"), f"Apply{name}")
        for name in ("TaylorSeer", "AdaCache", "CustomCache", "EasyCache")
    }


@pytest.mark.parametrize("level", ["output", "hidden"])
@pytest.mark.parametrize(("widgets", "steps", "plan"), PLANS.values(), ids=list(PLANS))
def test_one_step_in_a_few_is_computed(
    wan, caching, watching, nodes, model, part, traces, widgets, steps, plan, level
):
    options = part("cache_core").Options(cache_level=level)
    inputs = {"preset": "custom", "options": options, **widgets}
    cached = watching.execute(nodes["TaylorSeer"], model=model, **inputs)[0]
    wan.sample(cached, steps, size=(1, 4, 4))
    assert traces[0].methods[0].plan == plan
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == plan
    assert traces[0].failsafes() == {}


def test_an_interval_below_1_is_refused(part, watching, nodes, model):
    with pytest.raises(part("cache_core").StepCacheError, match=r"`interval`.*0.*1 \(compute"):
        watching.execute(nodes["TaylorSeer"], model=model, preset="custom", interval=0)


@pytest.mark.parametrize("name", ["TaylorSeer", "AdaCache", "CustomCache", "EasyCache"])
def test_both_experts_go_through_each_node(watching, nodes, wan, model, traces, name):
    from comfy_execution.graph_utils import ExecutionBlocker

    alone = watching.execute(nodes[name], model=model, preset="fast")
    assert isinstance(alone[1], ExecutionBlocker)
    both = watching.execute(nodes[name], model=model, preset="fast", low_noise_model=model.clone())
    for expert in both:
        wan.sample(expert, 12, size=(1, 4, 4))
    assert [trace.methods[0].method for trace in traces] == [name] * 2
    assert [trace.methods[0].node for trace in traces] == ["7"] * 2


PROMPTS = (("cyan disc fast", 9001), ("orange triangle slow", 9003))
PRESETS = ("quality", "balanced", "fast")


@pytest.fixture(scope="module")
def trained(host):
    """The trained tiny Wan, on the schedule it was trained for."""
    import comfy.sd
    from checkout import ROOT
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    path = ROOT / "tests" / "assets" / "tiny_wan" / "tiny_wan.safetensors"
    return ModelSamplingSD3().patch(comfy.sd.load_diffusion_model(str(path)), shift=5.0)[0]


@pytest.fixture(scope="module")
def rendered(wan, trained):
    """``rendered(model, prompt)``: the frames of 24 steps with Euler at CFG 1."""
    words, nodes = import_module("tiny_wan.words"), import_module("tiny_wan.nodes")

    def render(model, prompt):
        text, seed = prompt
        positive = [[words.embed(text).float(), {}]]
        way = {"steps": 24, "cfg": 1.0, "size": (5, 16, 16), "seed": seed}
        latent = wan.sample(model, positive=positive, **way)
        return nodes.TinyWanDecode.execute({"samples": latent}).args[0].double()

    return render


@pytest.fixture(scope="module")
def originals(rendered, trained):
    return [rendered(trained, prompt) for prompt in PROMPTS]


@pytest.fixture(scope="module")
def measured(rendered, originals, watching, nodes, trained, part):
    """``measured(name, preset)``: PSNR and computed steps of each prompt, once for all tests."""

    @cache
    def measure(name, preset, **options):
        chosen = part("cache_core").Options(**options)
        cached = watching.execute(nodes[name], model=trained, preset=preset, options=chosen)[0]
        return [psnr_and_computed(cached, *pair) for pair in zip(PROMPTS, originals, strict=True)]

    def psnr_and_computed(cached, prompt, original):
        traces = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(part("nodes.host.wrappers"), "publish", traces.append)
            error = (rendered(cached, prompt) - original).square().mean()
        assert traces[0].failsafes() == {}
        return float(-10 * torch.log10(error)), traces[0].counts()["cond"]["computed"]

    return measure


LEAST = {
    ("TaylorSeer", "quality"): (50.4, 29.9),
    ("TaylorSeer", "balanced"): (42.4, 18.8),
    ("TaylorSeer", "fast"): (38.4, 18),
    ("AdaCache", "quality"): (50.4, 29.9),
    ("AdaCache", "balanced"): (46.5, 18.8),
    ("AdaCache", "fast"): (38.5, 17.5),
    ("CustomCache", "quality"): (53.4, 43.9),
    ("CustomCache", "balanced"): (49.1, 28.9),
    ("CustomCache", "fast"): (38.7, 18),
    ("EasyCache", "quality"): (57, 54.6),
    ("EasyCache", "balanced"): (51.6, 30.2),
    ("EasyCache", "fast"): (46.8, 28.3),
}
"""PSNR in dB of the two prompts, 4 below what was measured: at CFG 1 one is much harder."""


@pytest.mark.parametrize(("name", "preset"), LEAST)
def test_a_preset_reuses_a_share_and_keeps_the_picture(measured, name, preset):
    for (psnr, computed), least in zip(measured(name, preset), LEAST[name, preset], strict=True):
        assert 8 <= computed <= 23
        assert psnr >= least


@pytest.mark.parametrize("name", ["TaylorSeer", "AdaCache", "CustomCache", "EasyCache"])
def test_faster_presets_compute_no_more(measured, name):
    found = [[computed for _, computed in measured(name, preset)] for preset in PRESETS]
    for quality, balanced, fast in zip(*found, strict=True):
        assert quality >= balanced >= fast
        assert quality > fast


def test_forecasts_make_easycache_better(measured):
    auto, hold = (
        measured("EasyCache", "balanced"),
        measured("EasyCache", "balanced", forecast="hold"),
    )
    for (better, _), (worse, _) in zip(auto, hold, strict=True):
        assert better >= worse + 3


@pytest.mark.parametrize("name", ["TaylorSeer", "CustomCache"])
def test_correction_makes_the_picture_better(measured, name):
    corrected, not_corrected = (
        measured(name, "quality"),
        measured(name, "quality", correction="off"),
    )
    for (better, _), (worse, _) in zip(corrected, not_corrected, strict=True):
        assert better > worse + 1
