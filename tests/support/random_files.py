"""Weights of a module with random values, and files of models too large to fill with any."""

import json
import math
import struct

import numpy as np
import torch

WEIGHT_NORMED = ("original0", "original1")
"""Ends of names of weights that are divided by their norm, which must not be 0."""


def randomised(module, seed=0, scale=0.05):
    """A state dict with random weights; those that norms multiply by are about 1."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(value.shape, generator=generator) * scale + is_factor(name)
        for name, value in module.state_dict().items()
    }


def is_factor(name):
    """True for what a norm multiplies by."""
    return name.endswith("gamma") or ("norm" in name and name.endswith("weight"))


def write_mostly_zeros(path, module, prefix=""):
    """A safetensors file in fp16 whose zeros take no room on disk.

    Norms multiply by 1, and what is divided by its norm is random. ``module`` may be on "meta".
    """
    entries, end = {}, 0
    for name, value in module.state_dict().items():
        size = 2 * value.numel()
        place = {"dtype": "F16", "shape": list(value.shape), "data_offsets": [end, end + size]}
        entries[f"{prefix}{name}"] = place
        end += size
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        start = file.tell()
        file.truncate(start + end)
        for name, place in entries.items():
            values = filled(name, math.prod(place["shape"]))
            if values is not None:
                file.seek(start + place["data_offsets"][0])
                file.write(values.astype(np.float16).tobytes())


def filled(name, count):
    """The values of a tensor that is not to be 0, None for the others."""
    if is_factor(name):
        return np.ones(count)
    if name.endswith(WEIGHT_NORMED):
        return np.random.default_rng(0).normal(size=count)
    return None
