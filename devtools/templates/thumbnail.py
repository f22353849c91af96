"""The card of a workflow in the Templates browser: which method, and where it sits."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ..client import Json
from .schematic import Schematic, schematic

SIZE = 512
"""Square, as the host's own; the browser shows it at about half this size."""

FINE = 3
"""Drawn this much larger, then made smaller: smooth edges."""

MARGIN, TOP, BOTTOM = 28, 142, 20
MODEL_AT, MODEL_SIZE, METHOD_AT, METHOD_SIZE = 44, 34.0, 96, 54.0
TEXT_SIZE = 25.0
CORNER, WIRE, PADDING, ROUND = 7, 3, 8, 22
BOX_WIDE, BOX_HIGH, FILLED = 0.94, 54, 0.68
"""Of the width of two columns; pixels at most; the share of a row's height."""

ONE_COLUMN = 300
BACKGROUND, HEADING = "#17181c", "#f4f4f5"
NODE, EDGE, TEXT = "#353842", "#6a6f7d", "#ececf0"
OURS, OURS_TEXT = "#f2b84b", "#1c1404"
WIRES = {
    "MODEL": "#b39ddb",
    "CONDITIONING": "#ffa931",
    "LATENT": "#ff9cf9",
    "IMAGE": "#64b5f6",
    "VIDEO": "#9fd89f",
}
SHORT = {
    "ModelSamplingSD3": "Model Sampling",
    "Load Diffusion Model (high noise)": "High Noise Model",
    "Load Diffusion Model (low noise)": "Low Noise Model",
    "Load Diffusion Model": "Load Model",
    "KSampler (Advanced)": "KSampler",
    "KSampler (without the cache)": "Without Cache",
    "KSampler (with the cache)": "With Cache",
}

Point = tuple[float, float]


@dataclass(frozen=True)
class _Box:
    """A node: the middle of its rectangle, half its width and height, and its name."""

    x: float
    y: float
    wide: float
    high: float
    text: str
    ours: bool


def draw(title: str, saved: Json, names: dict[str, str]) -> bytes:
    """A JPEG of a saved workflow; `names` are the display names of its node types."""
    shown = schematic(saved)
    boxes = _boxes(shown, names)
    card = _Card()
    card.heading(title)
    for (start, end), kind in shown.links.items():
        card.wire(boxes[start], boxes[end], kind)
    size = min(_size(box.text, 2 * box.wide) for box in boxes.values())
    for box in boxes.values():
        card.box(box, size)
    return card.jpeg()


def _boxes(shown: Schematic, names: dict[str, str]) -> dict[int, _Box]:
    """Every node by its number: below what leads to it, two beside each other."""
    pitch = (SIZE - TOP - BOTTOM) / len(shown.rows)
    high = min(BOX_HIGH, pitch * FILLED)
    single = all(len(row) == 1 for row in shown.rows)
    wide = ONE_COLUMN if single else (SIZE - 2 * MARGIN) / 2 * BOX_WIDE
    boxes: dict[int, _Box] = {}
    for level, row in enumerate(shown.rows):
        y = TOP + (level + 0.5) * pitch
        for x, node in zip(_across(row, shown, boxes), row, strict=True):
            name = names[node["type"]]
            title = SHORT.get(node.get("title"), SHORT.get(name, name))
            ours = node["type"].startswith("WanStepCache_")
            boxes[node["id"]] = _Box(x, y, wide / 2, high / 2, title, ours)
    return boxes


def _across(row: tuple[Json, ...], shown: Schematic, boxes: dict[int, _Box]) -> list[float]:
    """Where the middles of a row are: one alone is below what leads to it."""
    if len(row) == 1:
        above = [boxes[a].x for a, b in shown.links if b == row[0]["id"]]
        return [mean(above) if above else SIZE / 2]
    each = (SIZE - 2 * MARGIN) / len(row)
    return [MARGIN + (index + 0.5) * each for index in range(len(row))]


class _Card:
    def __init__(self) -> None:
        self.picture = Image.new("RGB", (SIZE * FINE, SIZE * FINE), BACKGROUND)
        self.pen = ImageDraw.Draw(self.picture)

    def heading(self, title: str) -> None:
        """The model above the method, as the title has them."""
        model, _, method = title.rpartition(" - ")
        if model:
            self.line(model, MODEL_AT, MODEL_SIZE, HEADING)
        self.line(method, METHOD_AT if model else (MODEL_AT + METHOD_AT) / 2, METHOD_SIZE, OURS)

    def line(self, text: str, y: float, largest: float, colour: str) -> None:
        """One line in the middle, as large as fits."""
        font = _font(_size(text, SIZE - 2 * MARGIN, largest))
        self.pen.text(_fine(SIZE / 2, y), text, colour, font, anchor="mm")

    def box(self, box: _Box, size: float) -> None:
        """A node with its name."""
        fill, edge, text = (OURS, OURS, OURS_TEXT) if box.ours else (NODE, EDGE, TEXT)
        upper, lower = (box.x - box.wide, box.y - box.high), (box.x + box.wide, box.y + box.high)
        self.pen.rounded_rectangle(_fine(*upper, *lower), CORNER * FINE, fill, edge, FINE)
        self.pen.text(_fine(box.x, box.y), box.text, text, _font(size), anchor="mm")

    def wire(self, start: _Box, end: _Box, kind: str) -> None:
        """A link downwards; round the boxes between, where there are some."""
        for line in pairwise(_curve(start, end)):
            points = [_fine(*point) for point in line]
            self.pen.line(points, fill=WIRES.get(kind, EDGE), width=WIRE * FINE)

    def jpeg(self) -> bytes:
        """The finished picture."""
        file = io.BytesIO()
        small = self.picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        small.save(file, "JPEG", quality=84, subsampling=0, optimize=True)
        return file.getvalue()


def _fine(*numbers: float) -> tuple[float, ...]:
    return tuple(number * FINE for number in numbers)


def _font(size: float) -> Any:
    return ImageFont.load_default(size * FINE)


def _size(text: str, width: float, largest: float = TEXT_SIZE) -> float:
    """The size at which a text fits into a width."""
    room = (width - 2 * PADDING) * FINE
    return min(largest, largest * room / _font(largest).getlength(text))


def _curve(start: _Box, end: _Box) -> list[Point]:
    """A cubic curve from the lower edge of a box to the upper one of another, or round the side."""
    passes_others = end.y - start.y > 4 * start.high and abs(end.x - start.x) < 1
    if passes_others:
        side = start.x + start.wide
        xs, ys = (side, side + ROUND, side + ROUND, side), (start.y, start.y, end.y, end.y)
    else:
        top, bottom = start.y + start.high, end.y - end.high
        bend = (bottom - top) / 2
        xs, ys = (start.x, start.x, end.x, end.x), (top, top + bend, bottom - bend, bottom)
    return [(_bezier(xs, step / 48), _bezier(ys, step / 48)) for step in range(49)]


def _bezier(points: tuple[float, ...], t: float) -> float:
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    return sum(weight * point for weight, point in zip(weights, points, strict=True))
