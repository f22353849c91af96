"""How a scenario samples a clip: by the host's own sampler, as its KSampler nodes call it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from .prompts import Prompt
from .scenario import FIRST_FRAME, IMAGE, SCHEDULER, Scenario

LATENT = (1, 16, 5, 16, 16)
BOUNDARY = 0.875
"""Sigma below which the low-noise expert was trained, that of Wan 2.2 T2V."""


def latent_of(models: Sequence[Any], scenario: Scenario, prompt: Prompt) -> Tensor:
    """The sampled latent in the units of the VAE; two models take turns, the second from BOUNDARY.

    With FIRST_FRAME the clip's first latent frame is given and kept by a noise mask, as Wan 2.2 5B
    makes a video of an image; with IMAGE the model is told of it beside the noise.
    """
    words, comfy_sample = import_module("tiny_wan.words"), import_module("comfy.sample")
    text, seed = prompt
    latent, mask = begun(prompt) if scenario.wan == FIRST_FRAME else (torch.zeros(LATENT), None)
    noise = comfy_sample.prepare_noise(latent, seed)
    beside = told(prompt) if scenario.wan == IMAGE else {}
    positive, negative = ([[words.embed(part).float(), beside]] for part in (text, ""))
    ends = [switch(models[0], scenario.steps), scenario.steps][-len(models) :]
    start = 0
    with torch.inference_mode():
        for model, end in zip(models, ends, strict=True):
            latent = comfy_sample.sample(
                model, torch.zeros_like(noise) if start else noise, scenario.steps, scenario.cfg,
                scenario.sampler, SCHEDULER, positive, negative, latent,
                start_step=start, last_step=end, disable_noise=start > 0, noise_mask=mask,
                disable_pbar=True, seed=seed,
            )  # fmt: skip
            start = end
    return latent


def switch(model: Any, steps: int) -> int:
    """How many steps are the high-noise expert's."""
    sampling = model.get_model_object("model_sampling")
    sigmas = import_module("comfy.samplers").calculate_sigmas(sampling, SCHEDULER, steps)
    return int((sigmas[:-1] >= BOUNDARY).sum())


def begun(prompt: Prompt) -> tuple[Tensor, Tensor]:
    """A clip of the prompt as a latent in the units of the VAE, and the mask of what to sample."""
    return in_vae_units(rendered(prompt)), all_but_first_frame()


def told(prompt: Prompt) -> dict[str, Tensor]:
    """What the host's node WanImageToVideo adds to a condition, for a clip's first frame."""
    image = import_module("tiny_wan.given").first_frame(rendered(prompt))
    return {"concat_latent_image": in_vae_units(image), "concat_mask": all_but_first_frame()}


def rendered(prompt: Prompt) -> Tensor:
    """A clip of the prompt as the latent that the model is trained on."""
    clean: Tensor = import_module("tiny_wan.sample").clips([prompt[0]], [prompt[1]])
    return clean


def in_vae_units(latent: Tensor) -> Tensor:
    """A latent as the host's VAE would give it."""
    raw: Tensor = import_module("comfy.latent_formats").Wan21().process_out(latent)
    return raw


def all_but_first_frame() -> Tensor:
    """The host's mask of what is to be sampled: 1 in all frames but the first."""
    mask = torch.ones(1, 1, *LATENT[2:])
    mask[:, :, 0] = 0
    return mask


def frames_of(latent: Tensor, scenario: Scenario) -> Tensor:
    """The frames that were sampled, [frames, height, width, 3] in 0..1."""
    decode = import_module("tiny_wan.nodes").TinyWanDecode.execute
    frames: Tensor = decode({"samples": latent}).args[0]
    return frames[1:] if scenario.wan == FIRST_FRAME else frames
