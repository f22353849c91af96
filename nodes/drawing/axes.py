"""From columns and values to places in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from .canvas import MARGIN, WIDTH

LABELS = 92
"""Room for words on the left of what is drawn."""

NARROWEST, WIDEST = 4, 4000
"""Pixels of a column, for which pictures of very many are wider, and of a picture."""

APART = 44
"""Pixels between two numbers on an axis at least."""


@dataclass(frozen=True)
class Columns:
    """Equal columns from ``left`` to ``right``."""

    count: int
    left: float = MARGIN + LABELS
    right: float = WIDTH - MARGIN

    @classmethod
    def fitting(cls, count: int) -> Columns:
        """So many columns, in as much width as they need."""
        fitted = cls(max(count, 1))
        needed = min(fitted.left + NARROWEST * count, WIDEST)
        return cls(fitted.count, right=max(fitted.right, needed))

    @property
    def each(self) -> float:
        """The width of one."""
        return (self.right - self.left) / self.count

    @property
    def width(self) -> float:
        """Of a picture that has them."""
        return self.right + MARGIN

    def edge(self, column: float) -> float:
        """Where a column begins."""
        return self.left + column * self.each

    def middle(self, column: float) -> float:
        """Its middle."""
        return self.edge(column + 0.5)

    def numbered(self, numbers: Sequence[int]) -> list[tuple[int, int]]:
        """Columns that get a number, and which: round ones, counted from 1, each once.

        numbers: of every column, counted from 0.
        """
        every = next(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if n * self.each >= APART)
        found, last = [], None
        for column, number in enumerate(numbers):
            if number != last and (number == 0 or (number + 1) % every == 0):
                found.append((column, number + 1))
            last = number
        return found


@dataclass(frozen=True)
class Values:
    """Values between ``low`` and ``high``, drawn between ``bottom`` and ``top``."""

    low: float
    high: float
    top: float
    bottom: float

    def place(self, value: float) -> float:
        """Where a value is; what is beyond the ends is drawn at them."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.bottom - share * (self.bottom - self.top)

    def ticks(self) -> list[float]:
        """A few round values."""
        unit = round_up((self.high - self.low) / 4)
        first, last = ceil(self.low / unit - 1e-9), floor(self.high / unit + 1e-9)
        return [number * unit for number in range(first, last + 1)]


def round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 and 10 times a power of ten."""
    power = 10.0 ** floor(log10(value))
    return next(step for step in (1, 2, 2.5, 5, 10) if step * power >= value * (1 - 1e-9)) * power


def ends(values: Sequence[float], zero: bool) -> tuple[float, float]:
    """Ends of an axis that has all values, and 0 if that is asked; never both the same."""
    low, high = min([*values, 0.0] if zero else values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    return (low if zero and low == 0 else low - room), high + room
