"""Pictures as ComfyUI's IMAGE."""

from __future__ import annotations

import numpy
import torch
from PIL import Image
from torch import Tensor


def as_image(picture: Image.Image) -> Tensor:
    """A picture as [1, height, width, 3] in 0..1, fp32."""
    return torch.from_numpy(numpy.asarray(picture).astype(numpy.float32) / 255)[None]


def as_picture(frame: Tensor) -> Image.Image:
    """A frame [height, width, 3 or more] in 0..1 as a picture."""
    values = (frame[..., :3].float().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(values.cpu().numpy())
