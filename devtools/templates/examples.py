"""Example workflows as files: a workflow and a picture of the same name each."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ..child import INTERRUPTED, exit_on_terminate
from ..client import Json
from ..errors import DevError
from ..progress import say
from ..server import PACKS, ComfyServer
from .save_format import save
from .thumbnail import draw
from .workflows import all_workflows

FOLDERS = {pack: root / "example_workflows" for pack, root in PACKS.items()}
"""Where a pack's examples are, by the name of its folder in `custom_nodes`."""


def made(object_info: Json) -> dict[Path, bytes]:
    """Every file by its path, as it should be with this host's nodes."""
    names = {name: info["display_name"] for name, info in object_info.items()}
    files = {}
    for workflow in all_workflows():
        saved = save(workflow, object_info)
        path = FOLDERS[workflow.pack] / f"{workflow.title}.json"
        files[path] = (json.dumps(saved, indent=2) + "\n").encode()
        files[path.with_suffix(".jpg")] = draw(workflow.title, saved, names)
    return files


def write() -> None:
    """Asks a real ComfyUI what its nodes are, and writes every file; others are removed."""
    say("Starting ComfyUI ...")
    with ComfyServer() as server:
        files = made(server.object_info())
    for path in present():
        path.unlink()
    for path, content in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        say(f"  {path.name}")


def present() -> list[Path]:
    """Every file that there is."""
    return [path for folder in FOLDERS.values() for path in folder.glob("*.*")]


def main() -> int:
    """Runs inside the environment."""
    exit_on_terminate()
    try:
        write()
    except DevError as error:
        say(f"devtools.templates: {error}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
