"""A small diagram: values over columns, against what they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .axes import Columns, Values, ends
from .canvas import FAINT, INK, PALE, PAPER, Block, Canvas, Point, width_of
from .palette import LOOKS

Stroke = Callable[[Canvas, Point, Point], None]
SMALL = 15
LIMIT = "#b3261e"
HIGHEST = 4
"""Values of more than so many times the limit are drawn at the upper edge, so that the rest can be
told apart."""

TITLE, FOOT = 30, 8


@dataclass(frozen=True)
class Mark:
    """A value at a column, and the kind of cell there, if it is of any."""

    column: int
    value: float
    letter: str = ""


@dataclass(frozen=True)
class Panel:
    """One diagram.

    lines: marks by name, a name being shown where there are several. limits: (first column, column
    behind the last, value). zero: whether the axis starts at 0.
    """

    title: str
    lines: dict[str, list[Mark]]
    limits: list[tuple[int, int, float]] = field(default_factory=list)
    zero: bool = True
    height: float = 170

    def block(self, columns: Columns) -> Block:
        """The diagram over these columns."""
        return Block(
            self.height + TITLE + FOOT, lambda canvas, top: self._draw(canvas, columns, top)
        )

    def _draw(self, canvas: Canvas, columns: Columns, top: float) -> None:
        canvas.text((columns.left, top + TITLE / 2), self.title, SMALL, FAINT)
        if len(self.lines) > 1:
            self._name_lines(canvas, columns, top + TITLE / 2)
        values = Values(*self._ends(), top + TITLE, top + TITLE + self.height)
        self._grid(canvas, columns, values)
        for first, behind, value in self.limits:
            y = values.place(value)
            canvas.dashes((columns.edge(first), y), (columns.edge(behind), y), LIMIT)
        for number, marks in enumerate(self.lines.values()):
            self._line(canvas, columns, values, marks, STROKES[number % len(STROKES)])
        for first, _, value in self.limits:
            self._name_limit(canvas, columns.edge(first) + 6, values.place(value) + 12, value)

    def _ends(self) -> tuple[float, float]:
        values = [mark.value for marks in self.lines.values() for mark in marks]
        limits = [value for *_, value in self.limits]
        low, high = ends([*values, *limits] or [0.0], self.zero)
        return low, min(high, HIGHEST * max(limits)) if limits and max(limits) > 0 else high

    def _name_lines(self, canvas: Canvas, columns: Columns, y: float) -> None:
        right = columns.right
        for number, name in reversed(list(enumerate(self.lines))):
            canvas.text((right, y), name, SMALL, FAINT, "rm")
            right -= width_of(name, SMALL) + 8
            STROKES[number % len(STROKES)](canvas, (right - 34, y), (right, y))
            right -= 34 + 18

    def _grid(self, canvas: Canvas, columns: Columns, values: Values) -> None:
        for tick in values.ticks():
            y = values.place(tick)
            canvas.line([(columns.left, y), (columns.right, y)], PALE)
            canvas.text((columns.left - 10, y), f"{tick:.4g}", SMALL, FAINT, "rm")
        corners = [(columns.left, values.top), (columns.left, values.bottom)]
        canvas.line([*corners, (columns.right, values.bottom)], FAINT)

    def _name_limit(self, canvas: Canvas, x: float, y: float, value: float) -> None:
        words = f"threshold {value:g}"
        canvas.box((x - 3, y - 8), (x + width_of(words, SMALL) + 3, y + 9), PAPER)
        canvas.text((x, y), words, SMALL, LIMIT)

    def _line(
        self,
        canvas: Canvas,
        columns: Columns,
        values: Values,
        marks: Sequence[Mark],
        stroke: Stroke,
    ) -> None:
        places = [(columns.middle(mark.column), values.place(mark.value)) for mark in marks]
        starts = {first for first, *_ in self.limits}
        for (place, following), (one, other) in zip(pairwise(places), pairwise(marks), strict=True):
            if not any(one.column < start <= other.column for start in starts):
                stroke(canvas, place, following)
        radius = min(6.0, columns.each * 0.4)
        for mark, place in zip(marks, places, strict=True):
            if radius >= 2:
                _mark(canvas, place, radius, mark, beyond=mark.value > values.high)


def solid(canvas: Canvas, start: Point, end: Point) -> None:
    """How the first line is drawn."""
    canvas.line([start, end], INK, 1.5)


def dashed(canvas: Canvas, start: Point, end: Point) -> None:
    """How the second line is drawn."""
    canvas.dashes(start, end, INK, 1.5, 4)


STROKES: tuple[Stroke, ...] = (solid, dashed)


def _mark(canvas: Canvas, place: Point, radius: float, mark: Mark, beyond: bool) -> None:
    """A dot for what was saved, a square for what was computed, an arrow up for what is higher."""
    x, y = place
    fill = LOOKS[mark.letter].fill if mark.letter else INK
    if beyond:
        canvas.shape([(x - radius, y + radius), (x, y - radius), (x + radius, y + radius)], fill)
    elif mark.letter in ("C", "M", "X"):
        canvas.box((x - radius, y - radius), (x + radius, y + radius), fill)
    else:
        canvas.dot(place, radius, fill, INK)
