"""The files in example_workflows/: a workflow and a picture of the same name per example."""

from __future__ import annotations

import json
import sys

from ..child import INTERRUPTED, exit_on_terminate
from ..client import Json
from ..errors import DevError
from ..paths import ROOT
from ..progress import say
from ..server import ComfyServer
from .save_format import save
from .thumbnail import draw
from .workflows import all_workflows

FOLDER = ROOT / "example_workflows"


def made(object_info: Json) -> dict[str, bytes]:
    """Every file by name, as it should be with this host's nodes."""
    names = {name: info["display_name"] for name, info in object_info.items()}
    files = {}
    for workflow in all_workflows():
        saved = save(workflow, object_info)
        files[f"{workflow.title}.json"] = (json.dumps(saved, indent=2) + "\n").encode()
        files[f"{workflow.title}.jpg"] = draw(workflow.title, saved, names)
    return files


def write() -> None:
    """Asks a real ComfyUI what its nodes are, and writes every file; others are removed."""
    say("Starting ComfyUI ...")
    with ComfyServer() as server:
        files = made(server.object_info())
    FOLDER.mkdir(exist_ok=True)
    for path in (*FOLDER.glob("*.json"), *FOLDER.glob("*.jpg")):
        path.unlink()
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)
        say(f"  {name}")


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
