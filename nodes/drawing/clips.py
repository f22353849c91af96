"""The picture of Step Cache Compare: some frames, how they differ, and the numbers of all."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from ...cache_core.comparison import Comparison, described
from .axes import LABELS, Columns
from .canvas import FAINT, INK, MARGIN, WIDTH, Block, Canvas, gap, stacked
from .heat import SHADES, heat, table
from .image import as_picture
from .panel import SMALL, Mark, Panel
from .tiles import heading, tiles

FEWEST, MOST = 5, 8
"""Frames that are shown of a long clip: as many as there is room for between these."""

TALLEST = 260
APART = 8
TITLE = "Step Cache Compare"


def clips_picture(
    reference: Tensor, candidate: Tensor, comparison: Comparison, most: float
) -> Image.Image:
    """The picture; ``most``: see ``heat``."""
    columns = Columns.fitting(len(reference))
    frames = chosen(fitting(reference), len(reference), comparison.worst)
    blocks = [heading(TITLE), tiles(totals(reference, comparison)), gap(14)]
    blocks += [film(reference, candidate, frames, comparison, most), scale(most)]
    if len(reference) > 1:
        blocks += [panel.block(columns) for panel in panels(comparison)]
        blocks.append(numbers(columns))
    return stacked(blocks, columns.width)


def fitting(clip: Tensor) -> int:
    """How many frames of a clip are shown."""
    width = TALLEST * clip.shape[2] / clip.shape[1] + APART
    room = int((WIDTH - 2 * MARGIN - LABELS + APART) / width)
    return min(max(room, FEWEST), MOST, len(clip))


def chosen(shown: int, count: int, worst: int) -> list[int]:
    """Which frames are shown: some that are evenly apart, the worst in place of its neighbour."""
    even = [round(n * (count - 1) / max(shown - 1, 1)) for n in range(shown)]
    nearest = min(even, key=lambda frame: abs(frame - worst))
    return [worst if frame == nearest else frame for frame in even]


def totals(reference: Tensor, comparison: Comparison) -> list[tuple[str, str]]:
    """The numbers of the whole clip, with their names."""
    size = (str(len(reference)), described(reference).split(" ", 1)[1])
    if comparison.same:
        return [("identical", "to the last bit"), size]
    return [
        (f"{comparison.psnr:.2f} dB", "PSNR"),
        (f"{comparison.ssim:.4f}", "SSIM"),
        (f"{comparison.temporal:.5f}", "temporal-difference error"),
        (f"frame {comparison.worst + 1}", f"worst, {min(comparison.psnrs):.2f} dB"),
        size,
    ]


def film(
    reference: Tensor,
    candidate: Tensor,
    frames: Sequence[int],
    comparison: Comparison,
    most: float,
) -> Block:
    """Three rows: the reference, the candidate, and how they differ."""
    clips = {"reference": reference[frames], "candidate": candidate[frames]}
    clips["difference"] = heat(*clips.values(), most)
    width, height = thumbnail(reference, len(frames))

    def draw(canvas: Canvas, top: float) -> None:
        for place, frame in enumerate(frames):
            worst = frame == comparison.worst and not comparison.same
            words = f"frame {frame + 1}{' (worst)' if worst else ''}"
            x = MARGIN + LABELS + place * (width + APART)
            canvas.text((x, top + 12), words, SMALL, FAINT)
        for row, (name, clip) in enumerate(clips.items()):
            y = top + 26 + row * (height + APART)
            canvas.text((MARGIN, y + height / 2), name, SMALL)
            for place, frame in enumerate(clip):
                corner = (MARGIN + LABELS + place * (width + APART), y)
                canvas.paste(as_picture(frame), corner, (width, height))

    return Block(26 + len(clips) * (height + APART), draw)


def thumbnail(clip: Tensor, count: int) -> tuple[float, float]:
    """Width and height of the frames in a picture that shows so many of them."""
    room = (WIDTH - 2 * MARGIN - LABELS + APART) / count - APART
    height = min(TALLEST, room * clip.shape[1] / clip.shape[2])
    return height * clip.shape[2] / clip.shape[1], height


def scale(most: float) -> Block:
    """What the colours of differences mean."""
    colours = (table() * 255).round().int().tolist()

    def draw(canvas: Canvas, top: float) -> None:
        left, width = MARGIN + LABELS, 300
        for shade, (red, green, blue) in enumerate(colours):
            start, end = (left + width * (shade + n) / SHADES for n in (0, 1))
            canvas.box((start, top + 6), (end, top + 20), f"#{red:02x}{green:02x}{blue:02x}")
        words = f"0 to {most:g} or more, of pixels in 0 to 1, mean over channels"
        canvas.text((left + width + 12, top + 13), words, SMALL, INK)

    return Block(36, draw)


def panels(comparison: Comparison) -> list[Panel]:
    """A diagram of each measure over the frames."""
    told = {
        "PSNR of each frame, dB": (0, comparison.psnrs, False),
        "SSIM of each frame": (0, comparison.likeness, False),
        "temporal-difference error from the frame before": (1, comparison.unrest, True),
    }
    return [
        Panel(title, {"": [Mark(n, v) for n, v in enumerate(values, first)]}, [], zero, 90)
        for title, (first, values, zero) in told.items()
        if values
    ]


def numbers(columns: Columns) -> Block:
    """The numbers of the frames."""

    def draw(canvas: Canvas, top: float) -> None:
        for column, number in columns.numbered(range(columns.count)):
            canvas.text((columns.middle(column), top + 8), str(number), SMALL, FAINT, "mm")
        canvas.text((MARGIN, top + 8), "frame", SMALL, FAINT)

    return Block(20, draw)
