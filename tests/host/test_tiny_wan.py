"""The host samples with the tiny Wans just what the code that trained them does."""

from importlib import import_module

import pytest
import torch
from checkout import ROOT

PROMPT = ("red disc fast", 11)
STEPS = 4
WANS = {"": "tiny_wan", "image": "tiny_wan_i2v"}


@pytest.mark.parametrize("wan", WANS)
def test_the_host_and_the_training_code_sample_the_same_clip(pack, wan):
    clips, scenario = import_module("bench.clips"), import_module("bench.scenario")
    path = ROOT / "tests" / "assets" / "tiny_wan" / f"{WANS[wan]}.safetensors"
    plain = import_module("comfy.sd").load_diffusion_model(str(path))
    shifted = import_module("bench.random_wan").shifted(plain, scenario.SHIFT)
    own, given, model = (import_module(f"tiny_wan.{n}") for n in ("sample", "given", "model"))
    text, seed = PROMPT
    beside = given.beside_noise(own.clips([text], [seed])) if wan else None
    expected = own.sample(model.load_tiny_wan(path), [text], [seed], STEPS, 5.0, beside)
    found = clips.latent_of([shifted], scenario.Scenario(STEPS, "euler", 5.0, wan), PROMPT)
    found = import_module("comfy.latent_formats").Wan21().process_in(found)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)


def test_what_the_image_model_is_told_is_what_the_hosts_node_adds(pack):
    told, seen = import_module("bench.clips").told(PROMPT), []

    class Vae:
        def encode(self, frames):
            seen.append(frames)
            return told["concat_latent_image"]

    node = import_module("comfy_extras.nodes_wan").WanImageToVideo
    start = torch.rand(1, 128, 128, 3)
    made = node.execute([["", {}]], [["", {}]], Vae(), 128, 128, 17, 1, start_image=start).args
    for ((_, added),) in made[:2]:
        assert added.keys() == told.keys()
        assert all(torch.equal(added[name], told[name]) for name in told)
    assert made[2]["samples"].shape == import_module("bench.clips").LATENT
    assert torch.equal(seen[0][:1], start)
    assert (seen[0][1:] == import_module("tiny_wan.given").GREY).all()
