"""Tiny Wan models through the host's real loader, sampled by the host's real samplers.

Import it only after the host (fixture ``host``).
"""

from itertools import pairwise

import comfy.ldm.wan.model
import comfy.ops
import comfy.sample
import comfy.samplers
import comfy.sd
import torch

DIM, FFN = 128, 256
CLASSES = {
    "vace": "VaceWanModel",
    "s2v": "WanModel_S2V",
    "humo": "HumoWanModel",
    "camera": "CameraWanModel",
}
"""The host's class by model type, where it is not WanModel."""


def random_weights(seed=0, scale=0.05, **config):
    """A state dict with random weights for a tiny Wan of the host's own class."""
    settings = {"model_type": "t2v", "dim": DIM, "ffn_dim": FFN, "num_heads": 1, "num_layers": 4}
    settings.update(config)
    kind = CLASSES.get(settings["model_type"], "WanModel")
    built = getattr(comfy.ldm.wan.model, kind)(
        **settings,
        device="cpu",
        dtype=torch.float32,
        operations=comfy.ops.manual_cast,
    )
    generator = torch.Generator().manual_seed(seed)
    weights = built.state_dict()
    for name, value in weights.items():
        noise = torch.randn(value.shape, generator=generator) * scale
        weights[name] = noise + 1 if name.endswith(("norm_q.weight", "norm_k.weight")) else noise
    return weights


def random_wan(dtype=torch.float32, seed=0, **config):
    """A ModelPatcher around a tiny Wan with random weights."""
    weights = {k: v.to(dtype) for k, v in random_weights(seed, **config).items()}
    return comfy.sd.load_diffusion_model_state_dict(weights, model_options={"dtype": dtype})


def conditioning(seed, tokens=8, **shapes):
    """CONDITIONING of random text tokens, and of random extras with these shapes."""
    generator = torch.Generator().manual_seed(seed)
    text = torch.randn(1, tokens, 4096, generator=generator)
    return [[text, {k: torch.randn(shape, generator=generator) for k, shape in shapes.items()}]]


def latent_and_noise(model, seed, batch, size):
    """An empty latent of the model's channels, and noise for it."""
    channels = model.model.latent_format.latent_channels
    latent = torch.zeros(batch, channels, *size)
    return latent, comfy.sample.prepare_noise(latent, seed)


def sample(model, steps=8, cfg=5.0, seed=0, batch=1, size=(3, 8, 8), sampler="euler", **more):
    """Latents of one sampling with the host's KSampler path."""
    latent, noise = latent_and_noise(model, seed, batch, size)
    latent = more.pop("latent", latent)
    positive = more.pop("positive", conditioning(1))
    negative = more.pop("negative", conditioning(2))
    scheduler = more.pop("scheduler", "simple")
    with torch.inference_mode():
        return comfy.sample.sample(
            model, noise, steps, cfg, sampler, scheduler, positive, negative, latent,
            disable_pbar=True, seed=seed, **more,
        )  # fmt: skip


def schedule(model, steps=8):
    """The sigmas of the host's ``simple`` scheduler."""
    sampling = model.get_model_object("model_sampling")
    return comfy.samplers.calculate_sigmas(sampling, "simple", steps)


def sample_with(function, model, steps=8, cfg=5.0, seed=0, batch=1, size=(3, 8, 8), **more):
    """Latents of one sampling with a sampler of the test's own.

    ``function(evaluate, x, sigmas)``: ``evaluate(x, sigma)`` is one evaluation of the model.
    """
    latent, noise = latent_and_noise(model, seed, batch, size)
    positive = more.pop("positive", conditioning(1))
    negative = more.pop("negative", conditioning(2))

    def run(model_k, x, sigmas, extra_args, callback=None, disable=None):
        def evaluate(x, sigma):
            return model_k(x, sigma * x.new_ones(x.shape[0]), **extra_args)

        return function(evaluate, x, sigmas)

    with torch.inference_mode():
        return comfy.sample.sample_custom(
            model, noise, cfg, comfy.samplers.KSAMPLER(run), schedule(model, steps),
            positive, negative, latent, disable_pbar=True, seed=seed, **more,
        )  # fmt: skip


def euler(evaluate, x, sigmas):
    """The plain Euler sampler, for ``sample_with``."""
    for now, after in pairwise(sigmas):
        x = x + (x - evaluate(x, now)) / now * (after - now)
    return x


def evaluated_twice(model, **more):
    """Both results of a sampling that evaluates the model twice at every point."""
    pairs = []

    def twice(evaluate, x, sigmas):
        def pair(x, sigma):
            pairs.append((evaluate(x, sigma), evaluate(x, sigma)))
            return pairs[-1][0]

        return euler(pair, x, sigmas)

    sample_with(twice, model, **more)
    return pairs
