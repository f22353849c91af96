"""Loads the pack in a process of its own, as ComfyUI does when it starts, and notes what it saw.

python fresh_host.py OUTPUT.json BASE_DIRECTORY
"""

import asyncio
import json
import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def start_host(base):
    """Everything that ComfyUI has imported by the time it loads custom nodes."""
    sys.path.append(str(ROOT))
    from devtools.host_runtime import import_host

    import_host(base=base)
    for name in ("utils.extra_config", "execution", "server", "nodes"):  # in main.py's order
        import_module(name)


def look():
    """The note: the modules that the pack added, its nodes, its pyproject as ComfyUI reads it."""
    from pack import load_pack

    before = set(sys.modules)
    pack = load_pack()
    added = set(sys.modules) - before
    extension = asyncio.run(pack.comfy_entrypoint())
    nodes = asyncio.run(extension.get_node_list())
    parser = import_module("comfy_config.config_parser")
    return {
        "added": {name: getattr(sys.modules[name], "__file__", None) for name in added},
        "nodes": [node.GET_NODE_INFO_V1() for node in nodes],
        "pyproject": parser.extract_node_configuration(str(ROOT)).model_dump(),
        "tool": parser.load_pyproject_settings(ROOT / "pyproject.toml").tool["comfy"],
    }


if __name__ == "__main__":
    start_host(Path(sys.argv[2]))
    Path(sys.argv[1]).write_text(json.dumps(look()))
