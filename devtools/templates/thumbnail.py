"""The card of a workflow: its nodes, frames and links, where they are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ..client import Json
from .layout import TITLE

WIDTH, HEIGHT = 640, 360
FINE = 3
"""Drawn this much larger, then made smaller: smooth edges."""
HEADING_AT, HEADING_SIZE = (18, 14), 24
AREA = (14, 54, WIDTH - 14, HEIGHT - 14)
FONT_SIZES = (14.0, 13.0, 12.0, 11.0, 10.0, 9.0, 8.0)
PADDING, CORNER, WIRE = 3, 5, 1.8
BACKGROUND, HEADING = "#17181c", "#f4f4f5"
FRAME, NODE, EDGE, TEXT = "#20222a", "#353842", "#565a66", "#ececf0"
OURS, OURS_TEXT = "#f2b84b", "#1c1404"
WIRES = {
    "MODEL": "#b39ddb",
    "CLIP": "#ffd500",
    "VAE": "#ff6e6e",
    "CONDITIONING": "#ffa931",
    "LATENT": "#ff9cf9",
    "IMAGE": "#64b5f6",
    "VIDEO": "#9fd89f",
}
SHORT = {
    "Empty HunyuanVideo 1.0 Latent": "Empty Latent",
    "ModelSamplingSD3": "Model Sampling",
}

Rectangle = tuple[float, float, float, float]


def draw(title: str, saved: Json, names: dict[str, str]) -> bytes:
    """A JPEG of a saved workflow; `names` are the display names of its node types."""
    card = _Card(saved["groups"])
    for group in saved["groups"]:
        card.box(group["bounding"], FRAME, FRAME)
    nodes = {node["id"]: node for node in saved["nodes"] if node["type"] in names}
    for link in saved["links"]:
        card.wire(_start(nodes[link[1]], link[2]), _end(nodes[link[3]], link[4]), link[5])
    for node in nodes.values():
        ours = node["type"].startswith("WanStepCache_")
        box = card.box(_bounding(node), *((OURS, OURS) if ours else (NODE, EDGE)))
        card.text(box, _caption(node, names), OURS_TEXT if ours else TEXT)
    return card.jpeg(title)


def _bounding(node: Json) -> list[float]:
    """With the title bar."""
    (x, y), (width, height) = node["pos"], node["size"]
    return [x, y - TITLE, width, height + TITLE]


def _start(node: Json, slot: int) -> tuple[float, float]:
    return node["pos"][0] + node["size"][0], _level(node, slot)


def _end(node: Json, slot: int) -> tuple[float, float]:
    return node["pos"][0], _level(node, slot)


def _level(node: Json, slot: int) -> float:
    level: float = node["pos"][1] + 14 + 20 * slot
    return level


def _caption(node: Json, names: dict[str, str]) -> str:
    title: str = node.get("title") or names[node["type"]]
    if node["type"] == "CLIPTextEncode":
        return title.partition("(")[2].rstrip(")") or title
    return SHORT.get(title, title)


class _Card:
    """A picture onto which the part of the canvas that the frames take is scaled."""

    def __init__(self, groups: list[Json]) -> None:
        boxes = [group["bounding"] for group in groups]
        self.left, self.top = min(b[0] for b in boxes), min(b[1] for b in boxes)
        width = max(b[0] + b[2] for b in boxes) - self.left
        height = max(b[1] + b[3] for b in boxes) - self.top
        room = AREA[2] - AREA[0], AREA[3] - AREA[1]
        self.scale = min(room[0] / width, room[1] / height)
        self.origin = (
            AREA[0] + (room[0] - width * self.scale) / 2,
            AREA[1] + (room[1] - height * self.scale) / 2,
        )
        self.picture = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), BACKGROUND)
        self.pen = ImageDraw.Draw(self.picture)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point of the canvas on the picture."""
        return (
            (self.origin[0] + (x - self.left) * self.scale) * FINE,
            (self.origin[1] + (y - self.top) * self.scale) * FINE,
        )

    def box(self, bounding: list[float], fill: str, edge: str) -> Rectangle:
        """Draws a rectangle and gives its place on the picture."""
        x, y, width, height = bounding
        place = (*self.at(x, y), *self.at(x + width, y + height))
        self.pen.rounded_rectangle(place, CORNER * FINE, fill, edge, FINE)
        return place

    def wire(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """Draws a link."""
        points = [self.at(*point) for point in _curve(start, end)]
        for line in pairwise(points):
            self.pen.line(line, fill=WIRES.get(kind, EDGE), width=round(WIRE * FINE))

    def text(self, box: Rectangle, text: str, colour: str) -> None:
        """Writes into a rectangle, as large as fits."""
        room = box[2] - box[0] - 2 * PADDING * FINE, box[3] - box[1] - PADDING * FINE
        lines, font = next(self._fitting(text, room))
        centre = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        self.pen.multiline_text(centre, lines, colour, font, anchor="mm", align="center")

    def _fitting(self, text: str, room: tuple[float, float]) -> Iterator[tuple[str, Any]]:
        for size in FONT_SIZES:
            font = _font(size)
            lines = _wrapped(text, font, room[0])
            box = self.pen.multiline_textbbox((0, 0), lines, font)
            if size == FONT_SIZES[-1] or (box[2] <= room[0] and box[3] <= room[1]):
                yield lines, font

    def jpeg(self, title: str) -> bytes:
        """The finished picture."""
        place = HEADING_AT[0] * FINE, HEADING_AT[1] * FINE
        self.pen.text(place, title, HEADING, _font(HEADING_SIZE))
        file = io.BytesIO()
        small = self.picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        small.save(file, "JPEG", quality=92, subsampling=0, optimize=True)
        return file.getvalue()


def _font(size: float) -> Any:
    return ImageFont.load_default(size * FINE)


def _wrapped(text: str, font: Any, width: float) -> str:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def _curve(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """A cubic curve that leaves to the right and arrives from the left."""
    distance = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
    bend = distance / 4
    xs = (start[0], start[0] + bend, end[0] - bend, end[0])
    ys = (start[1], start[1], end[1], end[1])
    return [(_bezier(xs, step / 48), _bezier(ys, step / 48)) for step in range(49)]


def _bezier(points: tuple[float, ...], t: float) -> float:
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    return sum(weight * point for weight, point in zip(weights, points, strict=True))
