"""The host's own workflow templates for Wan, as its packages have them.

A template is one for Wan if it has a text encoder loader that is set to Wan: those that call a
service alone have none.
"""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "comfyui_workflow_templates"
"""Its parts, packages of their own, lie beside it: the workflows in one, or in several."""


@cache
def paths():
    """The files of all by name, in order; none where the host has no such package."""
    found = find_spec(PACKAGE)
    if found is None:
        return {}
    files = Path(found.origin).parent.parent.glob(f"{PACKAGE}_*/templates/*.json")
    return {file.stem: file for file in sorted(files, key=lambda f: f.stem) if is_for_wan(file)}


def names():
    """The names of all, in order."""
    return list(paths())


def template(name):
    """One workflow, as the browser would open it."""
    return json.loads(paths()[name].read_text(encoding="utf-8"))


def is_for_wan(file):
    """True for a workflow that loads Wan's text encoder somewhere."""
    text = file.read_text(encoding="utf-8")
    return '"wan"' in text and any(loads_text_encoder(node) for node in nodes(json.loads(text)))


def nodes(workflow):
    """The nodes of a workflow and of its subgraphs."""
    subgraphs = workflow.get("definitions", {}).get("subgraphs", ())
    return [node for part in (workflow, *subgraphs) for node in part.get("nodes", ())]


def loads_text_encoder(node):
    """True for a loader of Wan's text encoder."""
    return node["type"] == "CLIPLoader" and "wan" in (node.get("widgets_values") or ())
