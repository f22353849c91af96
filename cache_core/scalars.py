"""The one place where the pack waits for the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def read_scalars(scalars: Sequence[Tensor]) -> list[float]:
    """The values of one-element tensors, in one device synchronisation however many there are."""
    device = next((s.device for s in scalars if s.device.type != "cpu"), scalars[0].device)
    flat = [s.detach().reshape(()).to(device=device, dtype=torch.float32) for s in scalars]
    return torch.stack(flat).tolist()
