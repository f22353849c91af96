"""What the host declares about a node, in the order and the kinds of the browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..client import Json
from ..errors import DevError
from .graph import CONTROL

DYNAMIC = "COMFY_DYNAMICCOMBO_V3"
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", DYNAMIC)
SEEDS = ("seed", "noise_seed")
EMPTY = {"INT": 0, "FLOAT": 0, "STRING": "", "BOOLEAN": False}


@dataclass(frozen=True)
class Input:
    """One declared input."""

    name: str
    type: str
    optional: bool
    settings: Json

    @property
    def is_widget(self) -> bool:
        """Whether the browser shows a widget for it."""
        return self.type in WIDGETS and not self.settings.get("forceInput")

    @property
    def has_control(self) -> bool:
        """Whether the browser adds a widget behind it that draws the next seed."""
        return bool(self.settings.get(CONTROL) or (self.type == "INT" and self.name in SEEDS))

    @property
    def has_upload(self) -> bool:
        """Whether the browser adds a widget behind it that uploads a picture."""
        return bool(self.settings.get("image_upload"))

    @property
    def default(self) -> Any:
        """What the browser shows in a new node."""
        if "default" in self.settings:
            return self.settings["default"]
        options = self.settings.get("options", ())
        if self.type == DYNAMIC:
            return options[0]["key"]
        return options[0] if options else EMPTY.get(self.type)


@dataclass(frozen=True)
class Declaration:
    """One node of the host."""

    inputs: tuple[Input, ...]
    outputs: tuple[tuple[str, str], ...]
    """Name and type of each."""
    title: str

    @property
    def sockets(self) -> list[Input]:
        """The inputs that only a link can feed."""
        return [given for given in self.inputs if not given.is_widget]

    @property
    def widgets(self) -> list[Input]:
        """The inputs with a widget."""
        return [given for given in self.inputs if given.is_widget]


def declaration(object_info: Json, node_type: str) -> Declaration:
    """A node, as /object_info tells it."""
    if node_type not in object_info:
        raise DevError(f"ComfyUI has no node {node_type}.")
    info = object_info[node_type]
    inputs = tuple(
        _input(name, info["input"][section][name], section == "optional")
        for section in ("required", "optional")
        for name in info["input_order"].get(section, ())
    )
    outputs = tuple(zip(info["output_name"], info["output"], strict=True))
    return Declaration(inputs, outputs, info["display_name"])


def _input(name: str, spec: list[Any], optional: bool) -> Input:
    kind, settings = spec[0], dict(spec[1]) if len(spec) > 1 else {}
    if isinstance(kind, list):  # older nodes give the choices instead of a type
        kind, settings = "COMBO", {**settings, "options": kind}
    return Input(name, kind, optional, settings)
