"""Where nodes, notes and frames go: frames from left to right, with room for both renderers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .declared import Declaration
from .graph import Column, Frame, Node, Workflow

SLOT, WIDGET, PADDING, WIDGET_PADDING = 20, 24, 6, 8  # of the canvas renderer
TALL_SLOT, TALL_WIDGET, TALL_PADDING = 24, 38, 36  # of the renderer with real HTML, generously
TITLE, FRAME_TITLE, MARGIN = 30, 40, 20
ABOVE = TITLE + FRAME_TITLE
BETWEEN_NODES, BETWEEN_COLUMNS, BETWEEN_FRAMES = 44, 50, 70
NOTE_WIDTH = 420

Declarations = Mapping[str, Declaration]


@dataclass(frozen=True)
class Box:
    """A rectangle: of a node without its title bar, or of a frame."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Layout:
    """Boxes of the nodes by name, of the frames as (name, box), and of the note."""

    nodes: Mapping[str, Box]
    frames: tuple[tuple[str, Box], ...]
    note: Box


def height(node: Node, declared: Declaration) -> int:
    """What the canvas renderer gives a node."""
    rows = max(len(declared.sockets), len(declared.outputs)) * SLOT
    widgets = _widgets(declared) * WIDGET
    least = rows + PADDING + (widgets + WIDGET_PADDING if widgets else 0)
    return max(least + node.note, node.height or 0)


def _widgets(declared: Declaration) -> int:
    return sum(1 + widget.has_control + widget.has_upload for widget in declared.widgets)


def _room(node: Node, declared: Declaration) -> int:
    """What the taller renderer may need."""
    rows = max(len(declared.sockets), len(declared.outputs)) * TALL_SLOT
    least = rows + TALL_PADDING + _widgets(declared) * TALL_WIDGET
    return max(least + node.note, (node.height or 0) + TALL_PADDING)


def lay_out(workflow: Workflow, declared: Declarations) -> Layout:
    """Everything, with the first node at the origin and the note to its left."""
    nodes: dict[str, Box] = {}
    frames: list[tuple[str, Box]] = []
    x = 0
    bottom = max(_block_depth(block, declared) for block in workflow.blocks)
    for block in workflow.blocks:
        width, y = max(map(_width, block)), 0
        for frame in block:
            nodes |= _nodes(frame, x, y, declared)
            below = y + _depth(frame, declared)
            end = bottom if frame is block[-1] else below
            frames.append((frame.title, _around(x, y, width, end)))
            y = below + BETWEEN_FRAMES + ABOVE
        x += width + BETWEEN_FRAMES
    note = Box(
        -NOTE_WIDTH - BETWEEN_FRAMES, TITLE - ABOVE, NOTE_WIDTH, bottom + ABOVE - TITLE + MARGIN
    )
    return Layout(nodes, tuple(frames), note)


def _block_depth(block: Sequence[Frame], declared: Declarations) -> int:
    depths = sum(_depth(frame, declared) for frame in block)
    return depths + (len(block) - 1) * (BETWEEN_FRAMES + ABOVE)


def _depth(frame: Frame, declared: Declarations) -> int:
    rooms = [[_room(n, declared[n.type]) for n in column.nodes] for column in frame.columns]
    return max(sum(column) + (len(column) - 1) * BETWEEN_NODES for column in rooms)


def _width(frame: Frame) -> int:
    return sum(c.width for c in frame.columns) + (len(frame.columns) - 1) * BETWEEN_COLUMNS


def _nodes(frame: Frame, x: int, y: int, declared: Declarations) -> dict[str, Box]:
    boxes: dict[str, Box] = {}
    for column in frame.columns:
        boxes |= _stack(column, x, y, declared)
        x += column.width + BETWEEN_COLUMNS
    return boxes


def _stack(column: Column, x: int, y: int, declared: Declarations) -> Iterator[tuple[str, Box]]:
    for node in column.nodes:
        about = declared[node.type]
        yield node.name, Box(x, y, column.width, height(node, about))
        y += _room(node, about) + BETWEEN_NODES


def _around(x: int, y: int, width: int, bottom: int) -> Box:
    return Box(x - MARGIN, y - ABOVE, width + 2 * MARGIN, bottom - y + ABOVE + MARGIN)
