"""How cells look: a colour, a pattern and a letter each, so that any one of the three is enough.

Dark is work that was done, light is work that was saved; the hues (Okabe and Ito) are apart for
colour-blind people too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .canvas import Canvas, width_of

Pattern = Callable[[Canvas, float, float, float, float, str], None]
SPACING = 6
LETTER = 18
"""The size of letters in cells that are wide enough."""


@dataclass(frozen=True)
class Look:
    """Of a kind of cell: its fill, the lines of its pattern, its letter's ink."""

    fill: str
    lines: str
    ink: str
    pattern: Pattern


def plain(canvas: Canvas, left: float, top: float, right: float, bottom: float, ink: str) -> None:
    """No pattern."""


def level(canvas: Canvas, left: float, top: float, right: float, bottom: float, ink: str) -> None:
    """Lines across."""
    y = top + SPACING / 2
    while y < bottom:
        canvas.line([(left, y), (right, y)], ink)
        y += SPACING


def rising(canvas: Canvas, left: float, top: float, right: float, bottom: float, ink: str) -> None:
    """Slanted lines."""
    height, start = bottom - top, left - (bottom - top)
    while start < right:
        first = max(start, left)
        last = min(start + height, right)
        canvas.line([(first, bottom - (first - start)), (last, bottom - (last - start))], ink)
        start += SPACING + 2


def framed(canvas: Canvas, left: float, top: float, right: float, bottom: float, ink: str) -> None:
    """A frame of its own."""
    if right - left > 8:
        canvas.box((left + 3, top + 3), (right - 3, bottom - 3), None, ink)


LOOKS = {
    "C": Look("#0072b2", "#0072b2", "#ffffff", plain),
    "M": Look("#5c6470", "#8d95a1", "#ffffff", level),
    "X": Look("#c04a00", "#ffffff", "#ffffff", framed),
    "R": Look("#f5d27a", "#f5d27a", "#1a1a1a", plain),
    "F": Look("#a6dcc6", "#5aa88a", "#1a1a1a", rising),
}


def cell(canvas: Canvas, letter: str, left: float, top: float, right: float, bottom: float) -> None:
    """One cell with its colour, pattern and, where it is wide enough, letter."""
    look = LOOKS[letter]
    canvas.box((left, top), (right, bottom), look.fill)
    look.pattern(canvas, left, top, right, bottom, look.lines)
    size = min(LETTER, int((right - left) * 0.8))
    if size < 10:
        return
    x, y = (left + right) / 2, (top + bottom) / 2
    half = width_of(letter, size) / 2 + 2
    canvas.box((x - half, y - size * 0.55), (x + half, y + size * 0.55), look.fill)
    canvas.text((x, y), letter, size, look.ink, "mm")
