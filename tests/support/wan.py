"""Tiny Wan models through the host's real loader, sampled by the host's real samplers.

Import it only after the host (fixture ``host``).
"""

import comfy.ldm.wan.model
import comfy.ops
import comfy.sample
import comfy.samplers
import comfy.sd
import torch

DIM, FFN = 128, 256


def random_weights(seed=0, scale=0.05, **config):
    """A state dict with random weights for a tiny Wan of the host's own class."""
    settings = {"model_type": "t2v", "dim": DIM, "ffn_dim": FFN, "num_heads": 1, "num_layers": 4}
    built = comfy.ldm.wan.model.WanModel(
        **{**settings, **config},
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


def conditioning(seed, tokens=8):
    """CONDITIONING of random text tokens."""
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn(1, tokens, 4096, generator=generator), {}]]


def sample(model, steps=8, cfg=5.0, seed=0, batch=1, size=(3, 8, 8), sampler="euler", **more):
    """Latents of one sampling with the host's KSampler path."""
    channels = model.model.latent_format.latent_channels
    latent = torch.zeros(batch, channels, *size)
    noise = comfy.sample.prepare_noise(latent, seed)
    positive, negative = more.pop("positive", conditioning(1)), conditioning(2)
    scheduler = more.pop("scheduler", "simple")
    with torch.inference_mode():
        return comfy.sample.sample(
            model, noise, steps, cfg, sampler, scheduler, positive, negative, latent,
            disable_pbar=True, seed=seed, **more,
        )  # fmt: skip
