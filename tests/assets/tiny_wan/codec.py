"""Clips as latents: a fixed, exactly invertible linear map that stands in for a video VAE.

Frames [T, 3, 2h, 2w] in 0..1 become a latent [16, T, h, w] of about zero mean and unit variance.
Channels 0 to 11 are the 2x2 pixels of each colour; 12 to 15 are what the surroundings look like
(brightness, its slope across and down, red against blue), and are not needed to decode.
"""

import torch
from torch import Tensor
from torch.nn import functional

PIXELS = 12
SCALE = 4
LUMA = (0.299, 0.587, 0.114)
MEAN = (*(0.156,) * 4, *(0.152,) * 4, *(0.146,) * 4, 0.152, 0.0, 0.0, 0.01)
STD = (*(0.182,) * 4, *(0.159,) * 4, *(0.163,) * 4, 0.112, 0.134, 0.134, 0.145)


def _surroundings(frames: Tensor) -> Tensor:
    """[T, 3, 2h, 2w] -> [T, 4, h, w]: brightness, its two slopes, red against blue."""
    small = functional.avg_pool2d(frames, 2)
    weights = small.new_tensor(LUMA)[:, None, None]
    views = torch.stack([(small * weights).sum(1), small[:, 0] - small[:, 2]], dim=1)
    padded = functional.pad(views, (1, 1, 1, 1), mode="replicate")
    luma = padded[:, :1]
    across = luma[..., 1:-1, 2:] - luma[..., 1:-1, :-2]
    down = luma[..., 2:, 1:-1] - luma[..., :-2, 1:-1]
    means = functional.avg_pool2d(padded, 3, stride=1)
    return torch.cat([means[:, :1], across, down, means[:, 1:]], dim=1)


def _raw(frames: Tensor) -> Tensor:
    """The channels before they are normalised: [T, 3, 2h, 2w] -> [16, T, h, w]."""
    blocks = functional.pixel_unshuffle(frames, 2)
    return torch.cat([blocks, _surroundings(frames)], dim=1).movedim(1, 0)


def _statistics(like: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the deviation of each channel, shaped to broadcast over [.., 16, T, h, w]."""
    mean, std = (like.new_tensor(values)[:, None, None, None] for values in (MEAN, STD))
    return mean, std


def encode(frames: Tensor) -> Tensor:
    """Frames [T, 3, 2h, 2w] in 0..1 -> latent [16, T, h, w]."""
    mean, std = _statistics(frames)
    return (_raw(frames) - mean) / std


def decode(latent: Tensor) -> Tensor:
    """Latent [16, T, h, w] -> frames [T, 3, 2h, 2w], not clamped; the inverse of `encode`."""
    mean, std = _statistics(latent)
    return functional.pixel_shuffle((latent * std + mean)[:PIXELS].movedim(0, 1), 2)


def picture(latent: Tensor) -> Tensor:
    """Latent [16, T, h, w] -> frames [T, 3, 8h, 8w] in 0..1, enlarged smoothly."""
    frames = decode(latent.float())
    return functional.interpolate(frames, scale_factor=SCALE, mode="bicubic").clamp(0, 1)
