"""Reuse at the point that was computed gives the computed result, whatever kind of Wan it is."""

import pytest
import torch

pytestmark = pytest.mark.every_host

VACE = {"model_type": "vace", "vace_layers": 2, "vace_in_dim": 96}
KINDS = {
    "t2v": {},
    "i2v": {"in_dim": 36},
    "5B": {"in_dim": 48, "out_dim": 48},
    "vace": VACE,
    "camera": {"model_type": "camera", "in_dim": 32},
    "s2v": {"model_type": "s2v", "num_layers": 5},
    "humo": {"model_type": "humo"},
}
EXTRAS = {
    "vace": {"vace_frames": (1, 1, 32, 3, 8, 8)},
    "s2v": {"audio_embed": (1, 25, 1024, 12)},
    "humo": {"audio_embed": (1, 3, 8, 5, 1280)},
}
"""What a kind is conditioned on besides text, by name and shape."""


@pytest.fixture(scope="module", params=KINDS)
def kind(request, wan):
    """A model of every kind, and a prompt for it."""
    prompt = wan.conditioning(1, **EXTRAS.get(request.param, {}))
    return wan.random_wan(**KINDS[request.param]), prompt


@pytest.mark.parametrize("level", ["output", "hidden"])
def test_of_every_kind(wan, caching, traces, kind, level):
    model, prompt = kind
    plain = wan.sample(model, steps=3, positive=prompt)
    armed = wan.sample(caching.cached(model, 0.0, level), steps=3, positive=prompt)
    assert torch.equal(plain, armed)

    cached = caching.cached(model, level=level, max_consecutive_skips=1)
    pairs = wan.evaluated_twice(cached, steps=3, positive=prompt)
    caching.assert_reuse_is_exact(pairs, level)
    assert caching.actions(traces[1]) == caching.actions(traces[1], "uncond") == "CR" * 3
    assert traces[1].failsafes() == {}


WAYS = {
    "batch of 2": {"batch": 2},
    "no guidance": {"cfg": 1.0},
    "odd size": {"size": (3, 7, 9)},
    "one frame": {"size": (1, 8, 8)},
}


@pytest.mark.parametrize("level", ["output", "hidden"])
@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_however_it_is_sampled(wan, caching, model, traces, level, way):
    cached = caching.cached(model, level=level, max_consecutive_skips=1)
    caching.assert_reuse_is_exact(wan.evaluated_twice(cached, steps=3, **way), level)
    assert caching.actions(traces[0]) == "CR" * 3


@pytest.mark.parametrize("level", ["output", "hidden"])
def test_with_a_noise_level_for_every_frame(wan, caching, traces, level):
    """Image to video on the 5B model: the first frame is given, and held free of noise."""
    model = wan.random_wan(in_dim=48, out_dim=48)
    mask = torch.ones(1, 1, 3, 8, 8)
    mask[:, :, 0] = 0
    plain = wan.sample(model, steps=3, noise_mask=mask)
    assert not torch.equal(plain, wan.sample(model, steps=3))
    armed = wan.sample(caching.cached(model, 0.0, level), steps=3, noise_mask=mask)
    assert torch.equal(plain, armed)
    cached = caching.cached(model, level=level, max_consecutive_skips=1)
    caching.assert_reuse_is_exact(wan.evaluated_twice(cached, steps=3, noise_mask=mask), level)
    assert caching.actions(traces[1]) == "CR" * 3
