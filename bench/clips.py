"""How a scenario samples a clip: by the host's own sampler, as its KSampler nodes call it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from .prompts import Prompt
from .scenario import SCHEDULER, Scenario

LATENT = (1, 16, 5, 16, 16)
BOUNDARY = 0.875
"""Sigma below which the low-noise expert was trained, that of Wan 2.2 T2V."""


def latent_of(models: Sequence[Any], scenario: Scenario, prompt: Prompt) -> Tensor:
    """The sampled latent in the units of the VAE; two models take turns, the second from BOUNDARY.

    With ``first_frame`` the clip's first latent frame is given and kept by a noise mask, as Wan 2.2
    5B makes a video of an image.
    """
    words, comfy_sample = import_module("tiny_wan.words"), import_module("comfy.sample")
    text, seed = prompt
    latent, mask = given(prompt) if scenario.wan == "first_frame" else (torch.zeros(LATENT), None)
    noise = comfy_sample.prepare_noise(latent, seed)
    positive, negative = ([[words.embed(part).float(), {}]] for part in (text, ""))
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


def given(prompt: Prompt) -> tuple[Tensor, Tensor]:
    """A clip of the prompt as a latent in the units of the VAE, and the mask of what to sample."""
    codec, shapes = import_module("tiny_wan.codec"), import_module("tiny_wan.shapes")
    latent = codec.encode(shapes.render(*prompt))[None]
    mask = torch.ones(1, 1, *LATENT[2:])
    mask[:, :, 0] = 0
    return import_module("comfy.latent_formats").Wan21().process_out(latent), mask


def frames_of(latent: Tensor, scenario: Scenario) -> Tensor:
    """The frames that were sampled, [frames, height, width, 3] in 0..1."""
    decode = import_module("tiny_wan.nodes").TinyWanDecode.execute
    frames: Tensor = decode({"samples": latent}).args[0]
    return frames[1:] if scenario.wan == "first_frame" else frames
