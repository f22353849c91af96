"""Video made a few frames at a time is never cached: attention keeps what every call has seen."""

import logging
from importlib import import_module

import pytest
import torch

WORDS = "ar_video samples a few frames at a time"
CAUSAL = {"num_layers": 2, "stated": {"causal_ar": True}}
STEPS = 4


@pytest.fixture(scope="session")
def inputs(pack):
    found = import_module("wan_inputs")
    if found.node("SamplerARVideo") is None:
        pytest.skip("this ComfyUI lacks SamplerARVideo")
    return found


@pytest.fixture(scope="module")
def causal(wan, inputs):
    return wan.random_wan(**CAUSAL)


@pytest.fixture
def continued(inputs):
    """A clone of a model that is given the first frame, as the host's node gives it."""
    return lambda model: inputs.made("ARVideoI2V", model=model, start_image=inputs.clip(3, 1))[0]


@pytest.fixture
def frame_by_frame(wan, inputs):
    """``frame_by_frame(model)``: a video of three frames, made one by one."""

    def sample(model):
        import comfy.sample

        sampler = inputs.made("SamplerARVideo", num_frame_per_block=1)[0]
        latent, noise = wan.latent_and_noise(model, 0, 1, (3, 8, 8))
        prompts = wan.conditioning(1), wan.conditioning(2)
        with torch.inference_mode():
            return comfy.sample.sample_custom(
                model, noise, 1.0, sampler, wan.schedule(model, STEPS), *prompts, latent,
                disable_pbar=True, seed=0,
            )  # fmt: skip

    return sample


METHODS = {
    "FBCache": lambda caching, model, level: caching.cached(model, level=level),
    "MagCache": lambda caching, model, level: caching.with_policies(
        model, caching.static("MagCache"), level=level
    ),
    **{
        name: lambda caching, model, level, name=name: caching.applied(name, model, level=level)
        for name in ("TaylorSeer", "EasyCache")
    },
}
LEVELS = ("output", "hidden")
COMBINATIONS = [
    *(("FBCache", level) for level in LEVELS),
    ("MagCache", "output"),
    *(
        pytest.param(name, level, marks=pytest.mark.matrix)
        for name in ("TaylorSeer", "EasyCache")
        for level in LEVELS
    ),
]


@pytest.mark.every_host
@pytest.mark.parametrize(("name", "level"), COMBINATIONS)
@pytest.mark.parametrize("given", [False, True], ids=["text", "image"])
def test_it_is_computed_and_said_why(
    caching, causal, continued, frame_by_frame, traces, tell, caplog, name, level, given
):
    model = continued(causal) if given else causal
    with caplog.at_level(logging.INFO):
        latents = frame_by_frame(METHODS[name](caching, model, level))
    assert torch.equal(latents, frame_by_frame(model))
    assert latents.isfinite().all()
    (trace,) = traces
    assert trace.failsafes() == {}
    assert trace.peak_bytes == 0
    assert [note for note in trace.notes if note.startswith(WORDS)]
    told = [r.getMessage() for r in caplog.records if "Wan Step Cache" in r.getMessage()]
    assert len(told) == 2  # before the first step, and at the end
    assert all(WORDS in line and "every step is computed" in line for line in told)
    assert not any("computes" in line or "as expected" in line for line in told)
    tell("Wan classes", "Causal, ar_video", **{level: "never cached, and said"})


def test_the_attention_does_remember(causal, continued, frame_by_frame):
    """A reused call would matter: later frames are made from what earlier calls left behind."""
    plain, other = frame_by_frame(causal), frame_by_frame(continued(causal))
    assert not torch.equal(plain[:, :, 1:], other[:, :, 1:])


def test_every_module_runs_in_every_evaluation(caching, causal, frame_by_frame):
    with caching.module_calls(causal) as count:
        frame_by_frame(causal)
        plain = count("blocks.")
    with caching.module_calls(causal) as count:
        frame_by_frame(caching.cached(causal))
        assert count("blocks.") == plain > 0


def test_cfg_cache_leaves_it_alone_too(caching, part, causal, frame_by_frame, traces):
    apply = part("nodes.cfgcache").ApplyCFGCache
    guided = import_module("watching").execute(apply, model=causal, preset="balanced")[0]
    assert torch.equal(frame_by_frame(guided), frame_by_frame(causal))
    assert [note for note in traces[0].notes if note.startswith(WORDS)]
