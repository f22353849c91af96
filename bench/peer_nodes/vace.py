"""A tiny VACE model with random weights, and a control video of noise for it."""

from __future__ import annotations

from typing import Any

import torch
from comfy import ops, sd
from comfy.ldm.wan.model import VaceWanModel

SIZES = {"dim": 128, "ffn_dim": 256, "num_heads": 1, "num_layers": 4, "text_dim": 4096}
VACE = {"vace_layers": 2, "vace_in_dim": 96}
SCALE, SEED = 0.05, 0
MASK_CHANNELS = 64


def model() -> Any:
    """As the host loads it from a file."""
    return sd.load_diffusion_model_state_dict(weights())


def weights() -> dict[str, Any]:
    """Random ones; what norms multiply by is about 1."""
    built = VaceWanModel(
        **SIZES, **VACE, device="cpu", dtype=torch.float32, operations=ops.manual_cast
    )
    generator = torch.Generator().manual_seed(SEED)
    return {
        name: torch.randn(value.shape, generator=generator) * SCALE + ("norm" in name)
        for name, value in built.state_dict().items()
    }


def control(latent: torch.Tensor, strength: float) -> dict[str, Any]:
    """What the host's WanVaceToVideo says in a condition, with noise instead of an encoded video.

    latent [1, 16, F, H, W] -> frames [1, 32, F, H, W] and a mask [1, 64, F, H, W].
    """
    generator = torch.Generator().manual_seed(SEED)
    count, channels, *space = latent.shape
    frames = torch.randn((count, 2 * channels, *space), generator=generator)
    mask = torch.ones((count, MASK_CHANNELS, *space))
    return {"vace_frames": [frames], "vace_mask": [mask], "vace_strength": [strength]}
