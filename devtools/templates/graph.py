"""What a workflow is made of: nodes in columns, linked by name as in an API prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import DevError

CONTROL = "control_after_generate"
"""The input that is a widget of the browser only: what becomes of a seed after a run."""


PACK = "wan-step-cache"


@dataclass(frozen=True)
class ModelFile:
    """A file of a loader: where to get it, and the folder of `models` it belongs in."""

    name: str
    url: str
    directory: str


@dataclass(frozen=True)
class Out:
    """An output of another node."""

    node: str
    slot: int = 0


@dataclass(frozen=True)
class Node:
    """One node; an input is a value, a ModelFile or an Out, and its default where left out."""

    name: str
    type: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    title: str | None = None
    height: int | None = None
    colours: tuple[str, str] | None = None
    note: int = 0
    """Room below the widgets, for text that the node shows."""

    def links(self) -> dict[str, Out]:
        """The inputs that other nodes feed."""
        return {name: value for name, value in self.inputs.items() if isinstance(value, Out)}

    def files(self) -> list[ModelFile]:
        """The files that the node loads."""
        return [value for value in self.inputs.values() if isinstance(value, ModelFile)]


@dataclass(frozen=True)
class Column:
    """Nodes below each other."""

    width: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Frame:
    """Columns from left to right, with a frame and a title around them."""

    title: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Workflow:
    """One example; its title is the name of its files and of its card in the browser.

    Its blocks go from left to right; the frames of a block are below each other.
    """

    title: str
    note: str
    blocks: tuple[tuple[Frame, ...], ...]
    pack: str = PACK
    """The folder of `custom_nodes` whose example it is."""

    def nodes(self) -> Iterator[Node]:
        """Every node, frame by frame."""
        for frame in (frame for block in self.blocks for frame in block):
            for column in frame.columns:
                yield from column.nodes

    def numbers(self) -> dict[str, int]:
        """The id of every node, by its name."""
        names = [node.name for node in self.nodes()]
        if len(set(names)) < len(names):
            raise DevError(f"{self.title}: two nodes have the same name.")
        return {name: number for number, name in enumerate(names, 1)}

    def files(self) -> list[ModelFile]:
        """What has to be downloaded."""
        return list(dict.fromkeys(file for node in self.nodes() for file in node.files()))
