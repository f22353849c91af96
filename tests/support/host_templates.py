"""What the host's own workflow templates say of the model files that they load."""

import json
import site
from functools import cache
from pathlib import Path
from typing import NamedTuple


class OfficialFile(NamedTuple):
    """A file, where to get it, and the folder of `models` it belongs in."""

    name: str
    url: str
    directory: str


@cache
def official_files():
    """Every file that a Wan template of the host's template packages names."""
    found = set()
    for template in template_files():
        text = template.read_text(encoding="utf-8")
        if "/Wan_2." in text:
            found |= set(files_within(json.loads(text)))
    assert found, "the host's template packages have no Wan templates"
    return found


def template_files():
    """The templates, in whichever of the packages this version of the host has them."""
    for place in site.getsitepackages():
        yield from Path(place).glob("comfyui_workflow_templates*/templates/*.json")


def files_within(saved):
    """The `models` properties of all nodes, those in subgraphs too."""
    if not isinstance(saved, dict) or "nodes" not in saved:
        return
    for graph in (saved, *saved.get("definitions", {}).get("subgraphs", ())):
        for node in graph["nodes"]:
            for model in node.get("properties", {}).get("models", ()):
                url = model["url"].partition("?")[0]
                yield OfficialFile(model["name"], url, model["directory"])
