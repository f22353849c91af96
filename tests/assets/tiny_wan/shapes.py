"""Clips of one coloured shape that moves over a dark background."""

import random

import torch
from torch import Tensor

from .words import COLOURS, DIRECTIONS, KINDS, SPEEDS, parse

SIZE = 32
FRAMES = 5
RADII = (5.0, 6.5)
BACKGROUND = (0.06, 0.16)
SLOPE = 0.05


def disc(x: Tensor, y: Tensor, radius: float) -> Tensor:
    """Signed distance to a disc, negative inside, in pixels; so are the others."""
    return torch.hypot(x, y) - radius


def square(x: Tensor, y: Tensor, radius: float) -> Tensor:
    """Signed distance to an upright square."""
    return torch.maximum(x.abs(), y.abs()) - 0.88 * radius


def triangle(x: Tensor, y: Tensor, radius: float) -> Tensor:
    """Signed distance to a triangle that stands on its base."""
    side = 0.866 * x.abs() - 0.5 * y
    return torch.maximum(side, y) - 0.55 * radius


def ring(x: Tensor, y: Tensor, radius: float) -> Tensor:
    """Signed distance to a ring."""
    return (torch.hypot(x, y) - 0.78 * radius).abs() - 0.26 * radius


def cross(x: Tensor, y: Tensor, radius: float) -> Tensor:
    """Signed distance to an upright cross."""
    across, along = torch.maximum(x.abs(), y.abs()), torch.minimum(x.abs(), y.abs())
    return torch.maximum(across - radius, along - 0.33 * radius)


DISTANCES = {"disc": disc, "square": square, "triangle": triangle, "ring": ring, "cross": cross}


def complete(text: str, rng: random.Random) -> dict[str, str]:
    """The words of a prompt, with the kinds it leaves open chosen at random."""
    words = parse(text)
    return {kind: words.get(kind) or rng.choice(options) for kind, options in KINDS.items()}


def start(velocity: float, radius: float, frames: int, rng: random.Random) -> float:
    """Where to start along one axis so that the shape stays inside, if the way is short enough."""
    travel = velocity * (frames - 1)
    low, high = radius - min(travel, 0.0), SIZE - radius - max(travel, 0.0)
    return rng.uniform(low, high) if low < high else rng.uniform(radius, SIZE - radius)


def bounce(position: float, radius: float) -> float:
    """Fold a position back into the picture as walls would."""
    span = SIZE - 2 * radius
    folded = (position - radius) % (2 * span)
    return radius + min(folded, 2 * span - folded)


def background(rng: random.Random) -> Tensor:
    """A dark picture [3, SIZE, SIZE], a little brighter towards one side."""
    axis = torch.linspace(-1, 1, SIZE)
    ramp = axis[None, :] * rng.uniform(-SLOPE, SLOPE) + axis[:, None] * rng.uniform(-SLOPE, SLOPE)
    level = torch.tensor([rng.uniform(*BACKGROUND) for _ in range(3)])
    return (level[:, None, None] + ramp).clamp(0, 1)


def centres(words: dict[str, str], radius: float, frames: int, rng: random.Random) -> list:
    """The (x, y) of the shape in every frame, in pixels."""
    velocity = [axis * SPEEDS[words["speed"]] for axis in DIRECTIONS[words["direction"]]]
    origin = [start(v, radius, frames, rng) for v in velocity]
    return [
        tuple(bounce(o + v * frame, radius) for o, v in zip(origin, velocity, strict=True))
        for frame in range(frames)
    ]


def render(text: str, seed: int, frames: int = FRAMES) -> Tensor:
    """The clip of a prompt and a seed: [frames, 3, SIZE, SIZE] in 0..1."""
    rng = random.Random(seed)
    words, radius, backdrop = complete(text, rng), rng.uniform(*RADII), background(rng)
    colour = torch.tensor(COLOURS[words["colour"]])[:, None, None]
    where = torch.tensor(centres(words, radius, frames, rng))
    pixels = torch.arange(SIZE) + 0.5
    x, y = pixels - where[:, 0, None, None], pixels[:, None] - where[:, 1, None, None]
    cover = (0.5 - DISTANCES[words["shape"]](x, y, radius)).clamp(0, 1)[:, None]
    return backdrop + cover * (colour - backdrop)
