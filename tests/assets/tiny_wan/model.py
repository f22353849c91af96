"""A compact Wan 2.1 text-to-video transformer with the published state-dict key names.

Written for training: no host needed. The host's own `WanModel` gives the same output for the same
weights. Shapes: B clips, C=16 channels, I channels in (C, or more with an image), F latent frames,
H and W latent size (even numbers), L = F * H/2 * W/2 tokens, K words, D = `DIM` features.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 16
DIM = 128
FFN_DIM = 512
LAYERS = 10
FREQUENCIES = 256
TEXT_DIM = 4096
PATCH = (1, 2, 2)
PATCH_WEIGHT = "patch_embedding.weight"
EPS = 1e-6
ROPE_AXES = (44, 42, 42)
ROPE_THETA = 10000.0


def sinusoids(timesteps: Tensor) -> Tensor:
    """[B] timesteps (sigma * 1000) -> [B, FREQUENCIES]: cosines, then sines."""
    half = FREQUENCIES // 2
    rates = ROPE_THETA ** -(torch.arange(half, device=timesteps.device) / half)
    angles = timesteps.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def rope_rates(size: int) -> Tensor:
    """How fast each of the size/2 pairs of an axis turns per position: [size/2]."""
    return ROPE_THETA ** -(torch.arange(0, size, 2, dtype=torch.float64) / size)


def rope_table(frames: int, rows: int, columns: int, device: torch.device | None = None) -> Tensor:
    """The rotary table of a token grid: [L, D/2, 2] holding (cosine, sine)."""
    positions = torch.meshgrid(
        *(torch.arange(size, dtype=torch.float64) for size in (frames, rows, columns)),
        indexing="ij",
    )
    angles = [
        axis.flatten()[:, None] * rope_rates(size)
        for axis, size in zip(positions, ROPE_AXES, strict=True)
    ]
    table = torch.cat(angles, dim=1)
    return torch.stack([table.cos(), table.sin()], dim=-1).float().to(device)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn each neighbouring pair of the features of [B, L, D] by its angle in the table."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = table.unbind(-1)
    return torch.stack([even * cosine - odd * sine, odd * cosine + even * sine], dim=-1).flatten(-2)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer-normalise [B, L, D], then scale and shift it by [B, 1, D] each."""
    normed = functional.layer_norm(x, (x.shape[-1],), eps=EPS)
    return torch.addcmul(shift, normed, 1 + scale)


class Attention(nn.Module):
    """One-head attention with normalised queries and keys."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(DIM, DIM) for _ in range(4))
        self.norm_q, self.norm_k = (nn.RMSNorm(DIM, eps=EPS) for _ in range(2))

    def forward(self, x: Tensor, source: Tensor, table: Tensor | None = None) -> Tensor:
        """[B, L, D] attends to a source [B, K, D]; a rope table turns queries and keys."""
        query, key = self.norm_q(self.q(x)), self.norm_k(self.k(source))
        if table is not None:
            query, key = rotate(query, table), rotate(key, table)
        mixed = functional.scaled_dot_product_attention(
            query[:, None], key[:, None], self.v(source)[:, None]
        )
        return self.o(mixed[:, 0])


class Block(nn.Module):
    """Self-attention, attention to the words, feed-forward."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = Attention()
        self.cross_attn = Attention()
        self.norm3 = nn.LayerNorm(DIM, eps=EPS)
        self.ffn = nn.Sequential(
            nn.Linear(DIM, FFN_DIM), nn.GELU(approximate="tanh"), nn.Linear(FFN_DIM, DIM)
        )
        self.modulation = nn.Parameter(torch.zeros(1, 6, DIM))

    def forward(self, x: Tensor, time: Tensor, words: Tensor, table: Tensor) -> Tensor:
        """Tokens [B, L, D], time [B, 6, D], words [B, K, D] -> tokens [B, L, D]."""
        e = (self.modulation + time).chunk(6, dim=1)
        y = modulate(x, e[0], e[1])
        x = torch.addcmul(x, self.self_attn(y, y, table), e[2])
        x = x + self.cross_attn(self.norm3(x), words)
        return torch.addcmul(x, self.ffn(modulate(x, e[3], e[4])), e[5])


class Head(nn.Module):
    """Tokens to velocity patches."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(DIM, CHANNELS * math.prod(PATCH))
        self.modulation = nn.Parameter(torch.zeros(1, 2, DIM))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Tokens [B, L, D], time [B, D] -> patches [B, L, 4 * C]."""
        shift, scale = (self.modulation + time[:, None]).chunk(2, dim=1)
        return self.head(modulate(x, shift, scale))


class TinyWan(nn.Module):
    """The velocity (noise minus clip) of a noisy latent; ``channels``: of its input."""

    def __init__(self, channels: int = CHANNELS) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv3d(channels, DIM, PATCH, stride=PATCH)
        self.text_embedding = nn.Sequential(
            nn.Linear(TEXT_DIM, DIM), nn.GELU(approximate="tanh"), nn.Linear(DIM, DIM)
        )
        self.time_embedding = nn.Sequential(
            nn.Linear(FREQUENCIES, DIM), nn.SiLU(), nn.Linear(DIM, DIM)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(DIM, 6 * DIM))
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.head = Head()

    def patches(self, x: Tensor) -> Tensor:
        """[B, I, F, H, W] -> tokens [B, L, D]; the convolution as a matrix product."""
        cut = x.unflatten(4, (-1, 2)).unflatten(3, (-1, 2)).permute(0, 2, 3, 5, 1, 4, 6)
        weight = self.patch_embedding.weight.flatten(1)
        return functional.linear(cut.flatten(4).flatten(1, 3), weight, self.patch_embedding.bias)

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        """Input [B, I, F, H, W], timesteps [B], words [B, K, TEXT_DIM] -> [B, C, F, H, W]."""
        grid = (x.shape[2], x.shape[3] // 2, x.shape[4] // 2)
        table = rope_table(*grid, device=x.device)
        time = self.time_embedding(sinusoids(timesteps))
        projected = self.time_projection(time).unflatten(1, (6, DIM))
        words, tokens = self.text_embedding(context), self.patches(x)
        for block in self.blocks:
            tokens = block(tokens, projected, words, table)
        cut = self.head(tokens, time).unflatten(2, (2, 2, CHANNELS)).unflatten(1, grid)
        return cut.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)


def initialise(model: TinyWan) -> None:
    """Start every branch at zero output, with open gates and no effect of time."""
    for block in model.blocks:
        for layer in (block.self_attn.o, block.cross_attn.o, block.ffn[2]):
            nn.init.zeros_(layer.weight)
        nn.init.ones_(block.modulation[:, 2].detach())
        nn.init.ones_(block.modulation[:, 5].detach())
    for layer in (model.time_projection[1], model.head.head):
        nn.init.zeros_(layer.weight)
    for layer in (m for m in model.modules() if isinstance(m, nn.Linear)):
        nn.init.zeros_(layer.bias)


def load_tiny_wan(path: str | Path, device: str = "cpu") -> TinyWan:
    """Read a checkpoint into an fp32 model in evaluation mode."""
    from safetensors.torch import load_file

    weights = {key: value.float() for key, value in load_file(path).items()}
    model = TinyWan(weights[PATCH_WEIGHT].shape[1])
    model.load_state_dict(weights)
    return model.eval().to(device)


def widened(model: TinyWan, channels: int) -> TinyWan:
    """A model with so many channels in that gives the same output, whatever is in the new ones."""
    weights = model.state_dict()
    old = weights[PATCH_WEIGHT]
    new = old.new_zeros(DIM, channels - old.shape[1], *PATCH)
    wide = TinyWan(channels)
    wide.load_state_dict({**weights, PATCH_WEIGHT: torch.cat([old, new], dim=1)})
    return wide
