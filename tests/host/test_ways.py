"""Every way to sample that the host has nodes for: exact while nothing is reused, cached, told."""

from importlib import import_module

import pytest
import torch

STEPS, CFG, SEED = 12, 5.0, 3
SIZE = (2, 4, 4)
NEVER = {"threshold": 0.0}


@pytest.fixture(scope="module")
def model(wan):
    return wan.random_wan(num_layers=2)


@pytest.fixture(scope="module")
def other(wan):
    return wan.random_wan(num_layers=2, seed=4)


class Nodes:
    """The host's nodes, called as its executor calls them."""

    def __init__(self, wan):
        self.wan = wan
        self.custom = import_module("comfy_extras.nodes_custom_sampler")
        self.plain = import_module("nodes")
        self.positive, self.negative = wan.conditioning(1), wan.conditioning(2)

    def __call__(self, name, *args, **kwargs):
        """The outputs of a node."""
        with torch.inference_mode():
            return getattr(self.custom, name).execute(*args, **kwargs).args

    def latent(self, batch=1, **more):
        """An empty latent."""
        return {"samples": torch.zeros(batch, 16, *SIZE), **more}

    def sigmas(self, model, steps=STEPS, denoise=1.0):
        """The schedule ``simple``."""
        return self("BasicScheduler", model, "simple", steps, denoise)[0]

    def advanced(self, guider, sigmas, latent=None, sampler="euler", noise=True):
        """SamplerCustomAdvanced."""
        noise = self("RandomNoise", SEED)[0] if noise else self("DisableNoise")[0]
        chosen = self("KSamplerSelect", sampler)[0]
        out = self("SamplerCustomAdvanced", noise, guider, chosen, sigmas, latent or self.latent())
        return out[0]

    def guider(self, model, cfg=CFG):
        """CFGGuider."""
        return self("CFGGuider", model, self.positive, self.negative, cfg)[0]

    def part(self, model, latent, first, last, leftover, noise=True):
        """KSamplerAdvanced over some of the steps."""
        words = {True: "enable", False: "disable"}
        with torch.inference_mode():
            return self.plain.KSamplerAdvanced().sample(
                model, words[noise], SEED, STEPS, CFG, "euler", "simple", self.positive,
                self.negative, latent, first, last, words[leftover],
            )[0]  # fmt: skip


def sampler_custom(nodes, model, **ways):
    sampler = nodes("KSamplerSelect", ways.get("sampler", "euler"))[0]
    conditions = (nodes.positive, nodes.negative)
    sigmas, cfg = nodes.sigmas(model), ways.get("cfg", CFG)
    latent = ways.get("latent") or nodes.latent()
    args = (model, True, SEED, cfg, *conditions, sampler, sigmas, latent)
    return [nodes("SamplerCustom", *args)[0]]


def cfg_guider(nodes, model):
    return [nodes.advanced(nodes.guider(model), nodes.sigmas(model))]


def basic_guider(nodes, model):
    guider = nodes("BasicGuider", model, nodes.positive)[0]
    return [nodes.advanced(guider, nodes.sigmas(model))]


def dual_cfg(style):
    def sample(nodes, model):
        middle = nodes.wan.conditioning(5)
        conditions = (nodes.positive, middle, nodes.negative)
        guider = nodes("DualCFGGuider", model, *conditions, CFG, 3.0, style)[0]
        return [nodes.advanced(guider, nodes.sigmas(model))]

    return sample


def advanced_whole(nodes, model):
    return [nodes.part(model, nodes.latent(), 0, 10000, leftover=False)]


def advanced_halves(leftover):
    def sample(nodes, model):
        first = nodes.part(model, nodes.latent(), 0, STEPS // 2, leftover)
        return [first, nodes.part(model, first, STEPS // 2, STEPS, False, noise=not leftover)]

    return sample


def denoise(share):
    def sample(nodes, model):
        start = nodes.latent()
        start["samples"] = torch.randn(start["samples"].shape, generator=torch.manual_seed(1))
        return [nodes.advanced(nodes.guider(model), nodes.sigmas(model, STEPS, share), start)]

    return sample


def splits(each):
    """SamplerCustomAdvanced again and again, over a few steps each time."""

    def sample(nodes, model):
        guider, sigmas, latents = nodes.guider(model), nodes.sigmas(model), [nodes.latent()]
        for first in range(0, STEPS, each):
            part = sigmas[first : first + each + 1]
            latents.append(nodes.advanced(guider, part, latents[-1], noise=not first))
        return latents[1:]

    return sample


def inpainting(nodes, model):
    latent = nodes.latent()
    latent["samples"] = torch.randn(latent["samples"].shape, generator=torch.manual_seed(1))
    mask = torch.zeros(1, 32, 32)
    mask[:, :16] = 1
    with torch.inference_mode():
        masked = nodes.plain.SetLatentNoiseMask().set_mask(latent, mask)[0]
    return sampler_custom(nodes, model, latent=masked)


def no_guidance(nodes, model):
    return sampler_custom(nodes, model, cfg=1.0)


def batch(count):
    return lambda nodes, model: sampler_custom(nodes, model, latent=nodes.latent(count))


def both_at_cfg_1(nodes, model):
    """Samplers of this kind need uncond at every scale."""
    return sampler_custom(nodes, model, cfg=1.0, sampler="euler_cfg_pp")


EVERY = "each step"
ONE_BY_ONE = "computed whole: nothing to reuse"
WAYS = {
    "SamplerCustom": (sampler_custom, EVERY),
    "SamplerCustomAdvanced, CFGGuider": (cfg_guider, EVERY),
    "SamplerCustomAdvanced, BasicGuider": (basic_guider, EVERY),
    "DualCFGGuider": (dual_cfg("regular"), EVERY),
    "DualCFGGuider, nested": (dual_cfg("nested"), EVERY),
    "KSamplerAdvanced": (advanced_whole, EVERY),
    "KSamplerAdvanced in two, leftover noise": (advanced_halves(True), EVERY),
    "KSamplerAdvanced in two, each denoised": (advanced_halves(False), EVERY),
    "denoise 0.5": (denoise(0.5), EVERY),
    "denoise 0.2": (denoise(0.2), EVERY),
    "sigmas split by 6": (splits(6), EVERY),
    "sigmas split by 2": (splits(2), "every second step"),
    "sigmas split by 1": (splits(1), ONE_BY_ONE),
    "inpainting mask": (inpainting, EVERY),
    "CFG 1": (no_guidance, EVERY),
    "CFG++ at CFG 1": (both_at_cfg_1, EVERY),
    "batch of 2": (batch(2), EVERY),
    "batch of 3": (batch(3), EVERY),
}
"""How each samples: latents in order; and what is cached of it."""


@pytest.fixture(scope="module")
def nodes(wan):
    return Nodes(wan)


@pytest.fixture
def prompt(host):
    from comfy_execution.utils import CurrentNodeContext

    return CurrentNodeContext("ways", "3")


@pytest.fixture
def footprints(part, monkeypatch):
    """The footprints of the samplings during the test, in order."""
    memory = part("nodes.host.memory")
    known, footprint = [], memory.footprint
    keep = lambda *args: known.append(footprint(*args)) or known[-1]  # noqa: E731
    monkeypatch.setattr(memory, "footprint", keep)
    return known


def assert_foreseen(traces, footprints):
    """As much was kept as was said beforehand, if there were as many values as forecasts take."""
    for trace, footprint in zip(traces, footprints, strict=True):
        assert trace.peak_bytes <= footprint.total
        if trace.counts()["cond"]["computed"] > 1:
            assert trace.peak_bytes == footprint.total


def assert_same(ones, others):
    for one, other in zip(ones, others, strict=True):
        assert torch.equal(one["samples"], other["samples"])


@pytest.mark.parametrize("level", ["output", pytest.param("hidden", marks=pytest.mark.matrix)])
@pytest.mark.parametrize(("way", "cached"), WAYS.values(), ids=list(WAYS))
def test_every_way(
    nodes, caching, model, traces, prompt, unalarmed, footprints, tell, way, cached, level
):
    with prompt:
        plain = way(nodes, model)
        never = way(nodes, caching.cached(model, level=level, **NEVER))
        assert_same(plain, never)
        traces.clear()
        footprints.clear()
        reused = way(nodes, caching.cached(model, level=level, max_consecutive_skips=1))
    assert all(torch.isfinite(latent["samples"]).all() for latent in reused)
    assert torch.equal(plain[-1]["samples"], reused[-1]["samples"]) == (cached == ONE_BY_ONE)
    for trace in traces:
        assert trace.failsafes() == {}
        assert caching.actions(trace) == ("CR" * trace.steps)[: trace.steps]
    if cached == ONE_BY_ONE:
        assert footprints == [] and {trace.peak_bytes for trace in traces} == {0}
        assert all("one step" in trace.notes[-1] for trace in traces)
    else:
        assert_foreseen(traces, footprints)
    names = {name: found for name, (found, _) in WAYS.items()}
    name = next(name for name, found in names.items() if found is way)
    tell("Ways to sample", name, uncached="bit-identical", cached=cached)


@pytest.mark.parametrize("two", [False, True], ids=["one cached", "both cached"])
def test_a_guider_of_two_models(nodes, caching, model, other, traces, tell, two):
    if not hasattr(nodes.custom, "DualModelGuider"):
        pytest.skip("this host has no DualModelGuider")

    def sampled(one, other):
        conditions = {"negative": nodes.negative, "model_negative": other}
        guider = nodes("DualModelGuider", one, nodes.positive, CFG, **conditions)[0]
        return [nodes.advanced(guider, nodes.sigmas(model))]

    def caches(**how):
        cached = caching.cached(model, **how), caching.cached(other, **how)
        return cached if two else (cached[0], other)

    assert_same(sampled(model, other), sampled(*caches(**NEVER)))
    reused = sampled(*caches(max_consecutive_skips=1))
    assert torch.isfinite(reused[0]["samples"]).all()
    assert caching.actions(traces[1]) == "CCRR" * (STEPS // 2)
    assert len(traces) == 2 and traces[1].failsafes() == {}
    tell("Ways to sample", "DualModelGuider", uncached="bit-identical", cached=EVERY)


def test_a_guider_that_is_kept_between_prompts(nodes, caching, model, traces, tell):
    """The host keeps the outputs of nodes that did not change: the same conditions come again."""
    guider = nodes.guider(caching.cached(model, max_consecutive_skips=1))
    sigmas = nodes.sigmas(model)
    first, second = (nodes.advanced(guider, sigmas) for _ in range(2))
    assert_same([first], [second])
    assert caching.actions(traces[0]) == caching.actions(traces[1]) == "CR" * (STEPS // 2)
    tell("Ways to sample", "a guider kept between prompts", cached=EVERY)


def by_default(part, caching, model):
    """A model with the cache as a node attaches it, few steps computed whole."""
    method = part("cache_core").Method(caching.static("MagCache"), caching.UNGUARDED)
    host = part("nodes.host")
    return host.attach(model, host.recognise(model), method, part("cache_core").Options())


UNGUIDED = {
    "BasicGuider": (basic_guider, True),
    "CFG 1": (no_guidance, True),
    "CFG++ at CFG 1": (both_at_cfg_1, False),
    "DualCFGGuider": (dual_cfg("regular"), False),
    "DualCFGGuider, nested": (dual_cfg("nested"), False),
}
"""Ways whose guider says CFG 1, and whether the run is one without guidance."""


@pytest.mark.parametrize(("way", "unguided"), UNGUIDED.values(), ids=list(UNGUIDED))
def test_twelve_steps_are_few_only_without_guidance(
    nodes, part, caching, model, traces, way, unguided
):
    way(nodes, by_default(part, caching, model))
    assert ("too few steps" in caching.reasons(traces[0])) == unguided
    assert any("distilled" in note for note in traces[0].notes) == unguided


def test_cfg_cache_says_that_a_guider_of_two_models_leaves_it_nothing(
    nodes, part, caching, model, other, traces
):
    if not hasattr(nodes.custom, "DualModelGuider"):
        pytest.skip("this host has no DualModelGuider")
    apply, execute = part("nodes.cfgcache").ApplyCFGCache, import_module("watching").execute
    (cached, *_) = execute(apply, model=model)
    conditions = {"negative": nodes.negative, "model_negative": other}
    guider = nodes("DualModelGuider", cached, nodes.positive, CFG, **conditions)[0]
    nodes.advanced(guider, nodes.sigmas(model))
    assert sum("no negative branch runs" in note for note in traces[0].notes) == 1
    assert traces[0].failsafes() == {}
