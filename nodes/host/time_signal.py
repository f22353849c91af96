"""The time embedding of a Wan, computed apart from the model's forward, in fp32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from comfy import ops

from ...cache_core.teacache import sinusoid
from ...cache_core.vocabulary import Signal

FAST = tuple(getattr(ops, name).Linear for name in ("fp8_ops", "cublas_ops") if hasattr(ops, name))
"""Linear layers of the host that round their input to fp8 or fp16 where the device is faster so."""


def embedding_of(patcher: Any) -> Callable[[Sequence[float], Signal], torch.Tensor]:
    """``embed`` of an Outlook for the loaded model of a ModelPatcher.

    The timesteps are those of generated frames: the frames that TI2V-5B is given have a timestep of
    0 at every step, and would dilute the signal.
    """
    model = patcher.get_model_object("diffusion_model")
    sampling = patcher.get_model_object("model_sampling")

    def embed(sigmas: Sequence[float], signal: Signal) -> torch.Tensor:
        timesteps = sampling.timestep(torch.tensor(sigmas, dtype=torch.float64))
        device = patcher.load_device
        values = sinusoid(timesteps, model.freq_dim).to(device)  # not every device knows fp64
        with torch.cuda.device_of(values):  # the host waits for its stream when it fetches weights
            values = in_fp32(model.time_embedding, values)
            return in_fp32(model.time_projection, values) if signal == "e0" else values

    return embed


def in_fp32(layers: Any, values: torch.Tensor) -> torch.Tensor:
    """A sequence of the host's layers, its weights cast to fp32 for this one call.

    The host's linear layers cast their weights, wherever they are kept, to the type of the input in
    ``forward_comfy_cast_weights``; plain layers take the input as it is.
    """
    for layer in layers:
        values = exact(layer)(values)
    return values


def exact(layer: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """A layer as a function that multiplies in the type of its input."""
    if isinstance(layer, FAST):
        return partial(ops.disable_weight_init.Linear.forward_comfy_cast_weights, layer)
    found: Callable[[torch.Tensor], torch.Tensor]
    found = getattr(layer, "forward_comfy_cast_weights", layer)
    return found
