"""What the image-to-video model is told beside the noise: the first frame, and where it is given.

Twenty channels behind those of the noisy latent, as Wan 2.2 I2V has them: four that are 1 in the
frames that are given, and the latent of a clip that is grey in all others (WanImageToVideo and
WAN21.concat_cond in the host).
"""

import torch
from torch import Tensor

from .codec import encode
from .shapes import SIZE

GREY = 0.5
MASK_CHANNELS = 4


def first_frame(clean: Tensor) -> Tensor:
    """Latents [B, 16, F, H, W] of clips -> those of the same clips, grey from the second on."""
    grey = encode(torch.full((1, 3, SIZE, SIZE), GREY)).to(clean)
    return torch.cat([clean[:, :, :1], grey.expand_as(clean[:, :, 1:])], dim=2)


def beside_noise(clean: Tensor) -> Tensor:
    """Latents [B, 16, F, H, W] of clips -> [B, 20, F, H, W]: the mask, then the first frame."""
    shown = torch.zeros_like(clean[:, :MASK_CHANNELS])
    shown[:, :, 0] = 1
    return torch.cat([shown, first_frame(clean)], dim=1)
