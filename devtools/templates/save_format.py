"""A workflow as the browser saves it: LiteGraph JSON, version 0.4."""

from __future__ import annotations

import re
import uuid
from typing import Any

from ..client import Json
from ..errors import DevError
from .declared import Declaration, Input, declaration
from .graph import CONTROL, ModelFile, Node, Out, Workflow
from .layout import Box, Layout, lay_out

VERSION = 0.4
OPTIONAL_SHAPE = 7
OWN, CORE = "wan-step-cache", "comfy-core"
TESTING = "TinyWan"
"""Nodes that no registry knows."""

UPLOAD = "image"
"""What the browser saves for its upload button."""

FRAME_COLOUR, NOTE_COLOURS = "#3f789e", ("#432", "#653")
VIEW_SCALE = 0.55


def save(workflow: Workflow, object_info: Json) -> Json:
    """The file's content."""
    return _Builder(workflow, object_info).content()


class _Builder:
    def __init__(self, workflow: Workflow, object_info: Json) -> None:
        self.workflow = workflow
        types = {node.type for node in workflow.nodes()}
        self.declared = {name: declaration(object_info, name) for name in types}
        self.layout: Layout = lay_out(workflow, self.declared)
        self.numbers = workflow.numbers()
        self.links = self._all_links()

    def content(self) -> Json:
        note = len(self.numbers) + 1
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{OWN}/{self.workflow.title}")),
            "revision": 0,
            "last_node_id": note,
            "last_link_id": len(self.links),
            "nodes": [*map(self._node, self.workflow.nodes()), self._note(note)],
            "links": list(self.links.values()),
            "groups": [self._frame(n, *f) for n, f in enumerate(self.layout.frames, 1)],
            "config": {},
            "extra": {"ds": self._view()},
            "version": VERSION,
        }

    def _all_links(self) -> dict[tuple[str, str], list[Any]]:
        """[id, from node, from slot, to node, to slot, type], by node and input."""
        ends = [(n, name, out) for n in self.workflow.nodes() for name, out in n.links().items()]
        return {
            (node.name, name): [number, *self._link(node, name, out)]
            for number, (node, name, out) in enumerate(ends, 1)
        }

    def _link(self, node: Node, name: str, out: Out) -> list[Any]:
        inputs = _slots(self.declared[node.type])
        slot = next((i for i, given in enumerate(inputs) if given.name == name), None)
        source = next((n for n in self.workflow.nodes() if n.name == out.node), None)
        if slot is None or source is None:
            raise DevError(f"{self.workflow.title}: {node.name}.{name} is linked to nothing.")
        kind = self.declared[source.type].outputs[out.slot][1]
        if kind != inputs[slot].type:
            raise DevError(f"{self.workflow.title}: {node.name}.{name} does not take {kind}.")
        return [self.numbers[out.node], out.slot, self.numbers[node.name], slot, kind]

    def _node(self, node: Node) -> Json:
        declared = self.declared[node.type]
        self._refuse_unknown(node, declared)
        number = self.numbers[node.name]
        return {
            "id": number,
            "type": node.type,
            **_place(self.layout.nodes[node.name], number - 1),
            "inputs": [self._input(node, given) for given in _slots(declared)],
            "outputs": [self._output(node, i) for i in range(len(declared.outputs))],
            **({"title": node.title} if node.title else {}),
            "properties": _properties(node),
            "widgets_values": _values(node, declared),
            **_coloured(node.colours),
        }

    def _refuse_unknown(self, node: Node, declared: Declaration) -> None:
        known = {given.name for given in declared.inputs} | {CONTROL}
        if unknown := set(node.inputs) - known:
            raise DevError(f"{self.workflow.title}: {node.type} has no {sorted(unknown)}.")

    def _input(self, node: Node, given: Input) -> Json:
        link = self.links.get((node.name, given.name))
        return {
            "name": given.name,
            "type": given.type,
            **({"shape": OPTIONAL_SHAPE} if given.optional else {}),
            **({"widget": {"name": given.name}} if given.is_widget else {}),
            "link": link[0] if link else None,
        }

    def _output(self, node: Node, slot: int) -> Json:
        name, kind = self.declared[node.type].outputs[slot]
        origin = [self.numbers[node.name], slot]
        links = [link[0] for link in self.links.values() if link[1:3] == origin]
        return {"name": name, "type": kind, "links": links or None}

    def _note(self, number: int) -> Json:
        return {
            "id": number,
            "type": "MarkdownNote",
            **_place(self.layout.note, number - 1),
            "inputs": [],
            "outputs": [],
            "title": "About this workflow",
            "properties": {},
            "widgets_values": [_unwrapped(self.workflow.note)],
            **_coloured(NOTE_COLOURS),
        }

    def _frame(self, number: int, title: str, box: Box) -> Json:
        bounding = [box.x, box.y, box.width, box.height]
        look = {"color": FRAME_COLOUR, "font_size": 24, "flags": {}}
        return {"id": number, "title": title, "bounding": bounding, **look}

    def _view(self) -> Json:
        note = self.layout.note
        return {"scale": VIEW_SCALE, "offset": [120 - note.x, 160 - note.y]}


def _slots(declared: Declaration) -> list[Input]:
    """The browser's order: what only links can feed, then what has widgets."""
    return [*declared.sockets, *declared.widgets]


def _place(box: Box, order: int) -> Json:
    shape = {"pos": [box.x, box.y], "size": [box.width, box.height]}
    return {**shape, "flags": {}, "order": order, "mode": 0}


def _properties(node: Node) -> Json:
    found: Json = {"Node name for S&R": node.type}
    if not node.type.startswith(TESTING):
        found["cnr_id"] = OWN if node.type.startswith("WanStepCache_") else CORE
    if files := node.files():
        found["models"] = [vars(file) for file in files]
    return found


def _values(node: Node, declared: Declaration) -> list[Any]:
    values = []
    for widget in declared.widgets:
        given = node.inputs.get(widget.name, widget.default)
        values.append(_plain(widget.default if isinstance(given, Out) else given))
        if widget.has_control:
            values.append(node.inputs.get(CONTROL, "randomize"))
        if widget.has_upload:
            values.append(UPLOAD)
    return values


def _plain(value: Any) -> Any:
    """What JavaScript writes: the name of a file, and 8 for 8.0."""
    if isinstance(value, ModelFile):
        return value.name
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _unwrapped(markdown: str) -> str:
    """One line per paragraph: the browser shows every line break."""
    broken = re.compile(r"(?<=[^\n])\n(?=[^\n#-])")
    return broken.sub(" ", markdown.strip())


def _coloured(colours: tuple[str, str] | None) -> Json:
    return {"color": colours[0], "bgcolor": colours[1]} if colours else {}
