"""Weights of a tiny Wan as files have them, and models loaded from such.

Import it only after the host (fixture ``host``).
"""

import comfy.sd
import torch
import wan

FP8 = torch.float8_e4m3fn
LARGEST = 448.0
"""The largest number of float8_e4m3fn."""


def scaled(weights):
    """Linear weights of the blocks as fp8 with a scale for each, as fp8_scaled files have them."""
    found = {"scaled_fp8": torch.zeros(0, dtype=FP8)}
    for name, value in weights.items():
        if name.startswith("blocks.") and name.endswith(".weight") and value.ndim == 2:
            scale = value.abs().max().float() / LARGEST
            found[f"{name.removesuffix('weight')}scale_weight"] = scale
            found[name] = (value / scale).to(FP8)
        else:
            found[name] = value
    return found


def stored_as(dtype, compute=None):
    """A model with weights in ``dtype``; it computes in ``compute``, or what the host likes."""
    model = wan.random_wan(dtype)
    if compute is not None:
        model.set_model_compute_dtype(compute)
    return model


def fp8_scaled():
    """A model from an fp8_scaled file; such weights are loaded as nodes run, in inference mode."""
    with torch.inference_mode():
        return comfy.sd.load_diffusion_model_state_dict(scaled(wan.random_weights()))


MODELS = {
    "fp16 weights": lambda: stored_as(torch.float16),
    "bf16 weights": lambda: stored_as(torch.bfloat16),
    "bf16, computed in bf16": lambda: stored_as(torch.bfloat16, torch.bfloat16),
    "fp16, computed in fp16": lambda: stored_as(torch.float16, torch.float16),
    "fp8_e4m3fn weights": lambda: stored_as(FP8),
    "fp8_e4m3fn, computed in bf16": lambda: stored_as(FP8, torch.bfloat16),
    "fp8_e5m2 weights": lambda: stored_as(torch.float8_e5m2),
    "fp8_scaled": fp8_scaled,
}
"""Models by how their weights are stored, and computed with."""
