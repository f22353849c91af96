"""What is kept of the model's output, and how an output comes back from it."""

from __future__ import annotations

import torch
from torch import Tensor

from .vocabulary import Anchor


def keep(anchor: Anchor, output: Tensor, latent: Tensor, sigma: float, into: Tensor) -> None:
    """Write what is kept of ``output``, the velocity of ``latent`` at ``sigma``, into a buffer."""
    if anchor == "denoised":
        torch.sub(latent, output, alpha=sigma, out=into)
    elif anchor == "input":
        torch.sub(output, latent, out=into)
    else:
        into.copy_(output)


def restore(anchor: Anchor, value: Tensor, latent: Tensor, sigma: float) -> Tensor:
    """The velocity of ``latent`` at ``sigma`` that belongs to a kept value, made of ``value``."""
    if anchor == "denoised":
        return value.sub_(latent).div_(-sigma)
    return value.add_(latent) if anchor == "input" else value
