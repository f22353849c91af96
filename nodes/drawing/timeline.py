"""The picture of Step Cache Report: a cell for each step and branch, the metric that decided."""

from __future__ import annotations

from PIL import Image

from ...cache_core.letters import WORDS
from ...cache_core.overview import Overview, lines_of
from ...cache_core.report import MIB
from ...cache_core.strip import Curve, Strip, strip_of
from .axes import Columns
from .canvas import (
    BODY,
    FAINT,
    INK,
    MARGIN,
    PALE,
    WIDTH,
    Block,
    Canvas,
    gap,
    shortened,
    stacked,
    width_of,
    words_block,
)
from .palette import cell
from .panel import SMALL, Mark, Panel
from .tiles import heading, tiles

TITLE = "Step Cache Report"
MOST_DRAWN = 6
"""Schedules in one picture."""

ROW, BETWEEN, HEAD, STEPS = 46, 8, 30, 30


def timeline(overview: Overview) -> Image.Image:
    """The picture; of no samplings, the note in words."""
    strips = [strip_of(schedule) for schedule in overview.schedules]
    drawn = strips[-MOST_DRAWN:]
    columns = [Columns.fitting(strip.columns) for strip in drawn]
    blocks = [heading(TITLE), words_block([overview.note, ""]) if overview.note else gap(0)]
    if strips:
        blocks += [tiles(totals(overview)), gap(14)]
    if len(strips) > len(drawn):
        blocks.append(words_block([f"The last {len(drawn)} of {len(strips)} schedules:"]))
    for strip, own in zip(drawn, columns, strict=True):
        blocks += [*schedule(strip, own), rule()]
    if strips:
        blocks.append(legend({letter for strip in drawn for letter in strip.letters}))
    return stacked(blocks, max((own.width for own in columns), default=WIDTH))


def totals(overview: Overview) -> list[tuple[str, str]]:
    """What all samplings did together, with names."""
    found = overview.totals
    reused, computed = (
        sum(row[name] for row in found.branches.values()) for name in ("reused", "computed")
    )
    return [
        (f"{found.speedup:.2f}x", "as fast (estimated)"),
        (f"{reused} of {reused + computed}", "evaluations reused"),
        (f"{found.saved:.1f} s", f"saved of {found.seconds + found.saved:.1f} s"),
        (f"{found.peak_bytes / MIB:.1f} MiB", "cache at most"),
        (f"{sum(found.failsafes.values()) or 'no'}", "failsafes"),
    ]


def schedule(strip: Strip, columns: Columns) -> list[Block]:
    """One schedule: its cells, the metrics below them, the switch through all of it, its words."""
    blocks = [cells(strip, columns), *(metric(c).block(columns) for c in strip.curves)]
    height = sum(block.height for block in blocks)

    def draw(canvas: Canvas, top: float) -> None:
        at = top
        for block in blocks:
            block.draw(canvas, at)
            at += block.height
        for part in strip.parts[1:]:
            x = columns.edge(part.start)
            canvas.dashes((x, top), (x, top + height), INK, 2, 5)

    words = [line for part in strip.parts for line in ("", *lines_of(part.run))]
    return [Block(height, draw), words_block(words, 16)]


def cells(strip: Strip, columns: Columns) -> Block:
    """A row for each branch under the names of the parts, the numbers of the steps below."""
    height = HEAD + len(strip.cells) * (ROW + BETWEEN) + STEPS

    def draw(canvas: Canvas, top: float) -> None:
        for number, part in enumerate(strip.parts):
            left, right = columns.edge(part.start), columns.edge(part.end)
            switch = f"switch at sigma {part.sigma:.3f}: " if number else ""
            words = shortened(switch + part.run["model"], right - left - 8, SMALL)
            canvas.text((left + (6 if number else 0), top + HEAD / 2), words, SMALL, INK)
        y = top + HEAD
        for branch, row in strip.cells.items():
            canvas.text((MARGIN, y + ROW / 2), branch, BODY)
            _row(canvas, columns, strip, row, y)
            y += ROW + BETWEEN
        for column, number in columns.numbered(strip.steps):
            canvas.text((columns.middle(column), y + 8), str(number), SMALL, FAINT, "mm")
        canvas.text((MARGIN, y + 8), "step", SMALL, FAINT)

    return Block(height, draw)


def _row(canvas: Canvas, columns: Columns, strip: Strip, row: dict[int, str], y: float) -> None:
    """The cells of a branch; those of one step stand closer together."""
    gap_width = 3 if columns.each >= 12 else 1 if columns.each >= 5 else 0
    for column, letter in row.items():
        same = strip.steps[column : column + 2]
        right = columns.edge(column + 1) - (gap_width if len(set(same)) == len(same) else 1)
        cell(canvas, letter, columns.edge(column), y, right, y + ROW)


def metric(curve: Curve) -> Panel:
    """What a method compared with its threshold."""
    lines = {
        name: [Mark(point.column, point.value, point.letter) for point in points]
        for name, points in curve.lines.items()
    }
    limits = [(limit.start, limit.end, limit.value) for limit in curve.limits]
    against = " and its threshold" if limits else ""
    return Panel(f"metric of {curve.method}{against}", lines, limits)


def rule() -> Block:
    """A line across."""

    def draw(canvas: Canvas, top: float) -> None:
        canvas.line([(MARGIN, top + 18), (WIDTH - MARGIN, top + 18)], PALE)

    return Block(32, draw)


def legend(letters: set[str]) -> Block:
    """The kinds of cells that occur."""
    shown = [letter for letter in WORDS if letter in letters]

    def draw(canvas: Canvas, top: float) -> None:
        left = float(MARGIN)
        for letter in shown:
            cell(canvas, letter, left, top, left + 34, top + 30)
            canvas.text((left + 44, top + 15), WORDS[letter], BODY)
            left += 44 + width_of(WORDS[letter]) + 34

    return Block(34, draw)
