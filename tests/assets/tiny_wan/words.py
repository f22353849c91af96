"""The words a tiny Wan understands, and their embeddings.

A prompt names at most one word of each kind, in any order: "red disc right fast".
"""

import re
from functools import cache

import torch
from torch import Tensor

TEXT_DIM = 4096
TOKENS = 8
SEED = 1234

COLOURS = {
    "red": (0.95, 0.15, 0.12),
    "green": (0.15, 0.85, 0.20),
    "blue": (0.20, 0.35, 1.00),
    "yellow": (0.98, 0.90, 0.15),
    "magenta": (0.95, 0.20, 0.90),
    "cyan": (0.15, 0.90, 0.95),
    "orange": (1.00, 0.55, 0.10),
    "white": (0.96, 0.96, 0.96),
}
SHAPES = ("disc", "square", "triangle", "ring", "cross")
DIRECTIONS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
SPEEDS = {"slow": 1.0, "fast": 3.5}

KINDS: dict[str, tuple[str, ...]] = {
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "direction": tuple(DIRECTIONS),
    "speed": tuple(SPEEDS),
}
VOCABULARY = tuple(word for words in KINDS.values() for word in words)


def parse(text: str) -> dict[str, str]:
    """The words of a prompt by kind; an empty prompt has none."""
    found: dict[str, str] = {}
    for word in re.split(r"[\s,.]+", text.lower().strip(" \t\r\n,.")):
        if word:
            kind = kind_of(word, text)
            if kind in found:
                raise ValueError(
                    f"text {text!r}: {found[kind]!r} and {word!r} both name a {kind}. Keep one."
                )
            found[kind] = word
    return found


def kind_of(word: str, text: str) -> str:
    """Which kind of word this is."""
    for kind, words in KINDS.items():
        if word in words:
            return kind
    raise ValueError(
        f"text {text!r}: {word!r} is not a word this model knows. Use {', '.join(VOCABULARY)}."
    )


@cache
def word_vectors() -> dict[str, Tensor]:
    """A fixed random vector [TEXT_DIM] of unit variance for every word."""
    generator = torch.Generator().manual_seed(SEED)
    table = torch.randn(len(VOCABULARY), TEXT_DIM, generator=generator)
    return dict(zip(VOCABULARY, table, strict=True))


def embed(text: str) -> Tensor:
    """A prompt as [1, TOKENS, TEXT_DIM]: one row for each kind, zeros where no word is given."""
    vectors, words = word_vectors(), parse(text)
    rows = torch.zeros(1, TOKENS, TEXT_DIM)
    for row, kind in enumerate(KINDS):
        if kind in words:
            rows[0, row] = vectors[words[kind]]
    return rows
