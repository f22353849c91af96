"""Sampling without a host: Euler steps with classifier-free guidance, and sheets to look at."""

import math
from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor

from .codec import encode, picture
from .model import CHANNELS, TinyWan
from .shapes import FRAMES, SIZE, render
from .words import embed

SHIFT = 5.0
GUIDANCE = 5.0
LATENT = (CHANNELS, FRAMES, SIZE // 2, SIZE // 2)


def shifted(fraction: Tensor, shift: float = SHIFT) -> Tensor:
    """Wan's noise levels: an even fraction of the way in 0..1 -> sigma in 0..1."""
    return shift * fraction / (1 + (shift - 1) * fraction)


def noise(seeds: Iterable[int]) -> Tensor:
    """One latent of unit noise for each seed: [B, C, F, H, W]."""
    return torch.stack(
        [torch.randn(LATENT, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )


def guided(model: TinyWan, inputs: Tensor, sigma: Tensor, words: Tensor, guidance: float) -> Tensor:
    """The velocity [B, C, F, H, W] at [B, I, F, H, W], pushed away from the one without words."""
    times = (sigma * 1000).expand(2 * len(inputs))
    both = model(inputs.repeat(2, 1, 1, 1, 1), times, torch.cat([words, torch.zeros_like(words)]))
    with_words, without = both.chunk(2)
    return without + guidance * (with_words - without)


@torch.inference_mode()
def sample(
    model: TinyWan,
    prompts: list[str],
    seeds: list[int],
    steps: int,
    guidance: float = GUIDANCE,
    beside: Tensor | None = None,
) -> Tensor:
    """Latents [B, C, F, H, W] of the prompts, by Euler steps from noise.

    beside: what the image-to-video model is told, [B, I - C, F, H, W] (``given.py``).
    """
    words, x = torch.cat([embed(prompt) for prompt in prompts]), noise(seeds)
    beside = x[:, :0] if beside is None else beside
    sigmas = shifted(torch.linspace(1, 0, steps + 1))
    for now, after in pairwise(sigmas):
        inputs = torch.cat([x, beside], dim=1)
        x = x + (after - now) * guided(model, inputs, now, words, guidance)
    return x


def clips(prompts: list[str], seeds: list[int]) -> Tensor:
    """Latents [B, C, F, H, W] of rendered clips, the truth that training learns from."""
    return torch.stack(
        [encode(render(prompt, seed)) for prompt, seed in zip(prompts, seeds, strict=True)]
    )


def sheet(latents: Tensor, columns: int = 2) -> Tensor:
    """Latents [B, C, F, H, W] -> one picture [3, rows, width]; each clip is a strip of frames."""
    strips = [torch.cat([*picture(latent)], dim=2) for latent in latents]
    blank = torch.zeros_like(strips[0])
    strips += [blank] * (math.ceil(len(strips) / columns) * columns - len(strips))
    rows = [torch.cat(strips[i : i + columns], dim=2) for i in range(0, len(strips), columns)]
    return torch.cat(rows, dim=1)
