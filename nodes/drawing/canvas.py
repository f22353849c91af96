"""A sheet to draw on, in units of the finished picture's pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, hypot
from typing import Any

from PIL import Image, ImageDraw, ImageFont

SCALE = 2
"""Drawn so much larger, and then made smaller: PIL itself draws lines without smooth edges."""

PAPER, INK, FAINT, PALE = "#ffffff", "#1a1a1a", "#5f6670", "#d9dce1"
WIDTH, MARGIN = 1200, 28
BODY = 18
"""The size of text that is to be read in the picture as it is."""

Point = tuple[float, float]


class Canvas:
    """White paper. Places are (x, y) from the upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        size = (ceil(width) * SCALE, ceil(height) * SCALE)
        self.image = Image.new("RGB", size, PAPER)
        self.pen = ImageDraw.Draw(self.image)

    def text(
        self, at: Point, words: str, size: int = BODY, ink: str = INK, anchor: str = "lm"
    ) -> None:
        """Words on one line; ``anchor`` as PIL's: l, m, r and t, m, b."""
        self.pen.text(_scaled(at), words, fill=ink, font=font(size * SCALE), anchor=anchor)

    def box(
        self, corner: Point, opposite: Point, fill: str | None, edge: str | None = None
    ) -> None:
        """A rectangle from one corner up to, and without, the opposite one."""
        (left, top), (right, bottom) = _scaled(corner), _scaled(opposite)
        if right > left and bottom > top:
            self.pen.rectangle((left, top, right - 1, bottom - 1), fill, edge, SCALE)

    def line(self, points: Sequence[Point], ink: str = INK, width: float = 1) -> None:
        """A line through points."""
        self.pen.line([_scaled(point) for point in points], ink, max(1, round(width * SCALE)))

    def dashes(self, start: Point, end: Point, ink: str, width: float = 2, dash: float = 7) -> None:
        """A dashed line."""
        way = end[0] - start[0], end[1] - start[1]
        count = max(1, round(hypot(*way) / dash / 2))
        for number in range(count):
            shares = number / count, (number + 0.55) / count
            self.line([(start[0] + s * way[0], start[1] + s * way[1]) for s in shares], ink, width)

    def shape(self, points: Sequence[Point], fill: str, edge: str = PAPER) -> None:
        """A filled polygon."""
        self.pen.polygon([_scaled(point) for point in points], fill, edge)

    def dot(self, at: Point, radius: float, fill: str, edge: str = PAPER) -> None:
        """A filled circle."""
        (x, y), r = _scaled(at), radius * SCALE
        self.pen.ellipse((x - r, y - r, x + r, y + r), fill, edge, SCALE // 2)

    def paste(self, picture: Image.Image, corner: Point, size: Point) -> None:
        """Another picture, made to fit."""
        fitted = picture.resize(_scaled(size), Image.Resampling.BICUBIC)
        self.image.paste(fitted, _scaled(corner))

    def finished(self) -> Image.Image:
        """The picture in its own size."""
        return self.image.reduce(SCALE)


def _scaled(point: Point) -> tuple[int, int]:
    return round(point[0] * SCALE), round(point[1] * SCALE)


@cache
def font(size: int) -> Any:
    """PIL's own font, which is everywhere; it has the characters of ASCII."""
    return ImageFont.load_default(size=size)


def width_of(words: str, size: int = BODY) -> float:
    """How wide words are."""
    return float(font(size * SCALE).getlength(words)) / SCALE


def wrapped(words: str, width: float, size: int = BODY) -> list[str]:
    """Words as lines that fit in a width; a word that is too long stands alone."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def shortened(words: str, width: float, size: int = BODY) -> str:
    """As much of the words as fits in a width."""
    if width_of(words, size) <= width:
        return words
    kept = words
    while kept and width_of(f"{kept}...", size) > width:
        kept = kept[:-1]
    return f"{kept.rstrip()}..." if kept else ""


@dataclass(frozen=True)
class Block:
    """A part of a picture over its whole width: its height, and what draws it from a ``top`` on."""

    height: float
    draw: Callable[[Canvas, float], None]


def stacked(blocks: Sequence[Block], width: float = WIDTH) -> Image.Image:
    """Blocks below each other, as a picture."""
    canvas = Canvas(width, sum(block.height for block in blocks) + 2 * MARGIN)
    top = float(MARGIN)
    for block in blocks:
        block.draw(canvas, top)
        top += block.height
    return canvas.finished()


def words_block(lines: Sequence[str], size: int = BODY, ink: str = INK) -> Block:
    """Lines of text, each broken where it has to be; an empty one leaves a gap."""
    leading = size * 1.4
    broken = [part for line in lines for part in (wrapped(line, WIDTH - 2 * MARGIN, size) or [""])]
    heights = [leading if line else leading / 2 for line in broken]

    def draw(canvas: Canvas, top: float) -> None:
        for line, height in zip(broken, heights, strict=True):
            canvas.text((MARGIN, top + height / 2), line, size, ink)
            top += height

    return Block(sum(heights), draw)


def gap(height: float) -> Block:
    """Nothing."""
    return Block(height, lambda canvas, top: None)
