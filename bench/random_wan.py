"""The host's Wan with random weights, in the shapes of published models and smaller ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from math import sqrt
from typing import Any

import torch
from torch import Tensor

Json = dict[str, Any]
TEXT_DIM = 4096
PATTERN = 1 << 20
"""Random numbers that fill all weights in turn: new ones for each of 14 G would take minutes."""


@dataclass(frozen=True)
class Shape:
    """A Wan's sizes, and what it works on.

    layers: that are built, of published_layers. size: latent frames, height and width. text: tokens
    of each prompt. kind: the host's model type.
    """

    name: str
    dim: int
    ffn: int
    heads: int
    layers: int
    published_layers: int
    size: tuple[int, int, int]
    text: int = 512
    dtype: str = "float32"
    kind: str = "t2v"

    @property
    def in_dim(self) -> int:
        """Channels in: with an image, the latent, the image's and a mask."""
        return 36 if self.kind == "i2v" else 16

    @property
    def tokens(self) -> int:
        """Of one video: a token is one frame of 2 x 2 latent pixels."""
        frames, height, width = self.size
        return frames * (height // 2) * (width // 2)

    @property
    def torch_dtype(self) -> torch.dtype:
        """What weights are in and the model computes in."""
        found: torch.dtype = getattr(torch, self.dtype)
        return found

    def described(self) -> Json:
        """For a file of results."""
        return {
            "dim": self.dim,
            "ffn": self.ffn,
            "heads": self.heads,
            "layers": self.layers,
            "published_layers": self.published_layers,
            "latent": [16, *self.size],
            "tokens": self.tokens,
            "text_tokens": self.text,
            "dtype": self.dtype,
        }


TINY = Shape("tiny", 128, 512, 1, 10, 10, (5, 16, 16), text=8)
"""As large as the trained one of this repository, its clips and its prompts."""
WAN_1_3B = Shape("1.3B", 1536, 8960, 12, 30, 30, (21, 60, 104), dtype="bfloat16")
WAN_14B = replace(WAN_1_3B, name="14B", dim=5120, ffn=13824, heads=40, layers=40,
                  published_layers=40)  # fmt: skip
LATENTS = {"832x480x81": (21, 60, 104), "1280x720x81": (21, 90, 160)}
"""Latent sizes of the published clips: width, height and frames in pixels."""


def build(shape: Shape) -> Any:
    """A ModelPatcher, by the host's own loader. Import the host before."""
    weights = random_weights(shape)
    options = {"dtype": shape.torch_dtype}
    load = import_module("comfy.sd").load_diffusion_model_state_dict
    return load(weights, model_options=options)


def random_weights(shape: Shape) -> dict[str, Tensor]:
    """A state dict in which every layer keeps the magnitude of what goes through it."""
    module, ops = import_module("comfy.ldm.wan.model"), import_module("comfy.ops")
    empty = module.WanModel(
        model_type=shape.kind, in_dim=shape.in_dim, dim=shape.dim, ffn_dim=shape.ffn,
        num_heads=shape.heads, num_layers=shape.layers, text_dim=TEXT_DIM,
        device="meta", dtype=torch.float32, operations=ops.manual_cast,
    )  # fmt: skip
    pattern = torch.randn(PATTERN, generator=torch.Generator().manual_seed(0))
    return {
        name: filled(name, value.shape, pattern).to(shape.torch_dtype)
        for name, value in empty.state_dict().items()
    }


def filled(name: str, shape: torch.Size, pattern: Tensor) -> Tensor:
    """Random numbers from the pattern; factors of norms are 1, biases and modulations are small."""
    if "norm" in name and name.endswith("weight"):
        return torch.ones(shape)
    inputs = shape[1:].numel() if name.endswith("weight") else 2500
    repeats = -(-shape.numel() // PATTERN)
    numbers = pattern.repeat(repeats)[: shape.numel()] if repeats > 1 else pattern[: shape.numel()]
    return (numbers / sqrt(inputs)).reshape(shape)


def condition(shape: Shape, seed: int) -> list[Any]:
    """CONDITIONING of random text."""
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn(1, shape.text, TEXT_DIM, generator=generator), {}]]


def sample(model: Any, shape: Shape, steps: int, cfg: float = 5.0) -> Tensor:
    """One sampling by the host's own sampler, as the node KSampler calls it; the latent."""
    comfy_sample = import_module("comfy.sample")
    latent = torch.zeros(1, 16, *shape.size)
    noise = comfy_sample.prepare_noise(latent, 0)
    with torch.inference_mode():
        found: Tensor = comfy_sample.sample(
            model, noise, steps, cfg, "euler", "simple", condition(shape, 1), condition(shape, 2),
            latent, disable_pbar=True, seed=0,
        )  # fmt: skip
    return found


def shifted(model: Any, shift: float) -> Any:
    """Behind the host's node ModelSamplingSD3."""
    node = import_module("comfy_extras.nodes_model_advanced").ModelSamplingSD3()
    return node.patch(model, shift)[0]
