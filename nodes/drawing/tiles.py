"""What stands above every picture: its name, and a few numbers to be read at a glance."""

from __future__ import annotations

from collections.abc import Sequence

from .canvas import FAINT, MARGIN, WIDTH, Block, Canvas

LARGE, NAME = 28, 16
APART = 12


def heading(title: str) -> Block:
    """What the picture is."""
    return Block(46, lambda canvas, top: canvas.text((MARGIN, top + 14), title, LARGE))


def tiles(told: Sequence[tuple[str, str]]) -> Block:
    """Numbers, each with its name below it."""
    each = (WIDTH - 2 * MARGIN + APART) / len(told)

    def draw(canvas: Canvas, top: float) -> None:
        for number, (value, name) in enumerate(told):
            left = MARGIN + number * each
            canvas.box((left, top), (left + each - APART, top + 78), "#f2f4f7")
            canvas.text((left + 14, top + 29), value, LARGE)
            canvas.text((left + 14, top + 59), name, NAME, FAINT)

    return Block(78, draw)
