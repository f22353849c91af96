"""Loads a pack in a process of its own, as ComfyUI does when it starts, and notes what it saw.

python fresh_host.py OUTPUT.json BASE_DIRECTORY, which has the pack in its custom_nodes folder
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
    order = ("utils.extra_config", "execution", "server", "nodes")  # main.py's
    for name in (*order, "comfy_config.config_parser"):
        import_module(name)


def look(pack):
    """The note: what the host made of the pack, and what came into the process with it."""
    host, parser = import_module("nodes"), import_module("comfy_config.config_parser")
    facts = parser.extract_node_configuration(str(pack)).model_dump()
    before, own = set(sys.modules), set(host.NODE_CLASS_MAPPINGS)
    loaded = asyncio.run(host.load_custom_node(str(pack), own))
    added = set(sys.modules) - before
    nodes = [node for name, node in host.NODE_CLASS_MAPPINGS.items() if name not in own]
    return {
        "loaded": loaded,
        "module": str(pack).replace(".", "_x_"),
        "added": {name: getattr(sys.modules[name], "__file__", None) for name in added},
        "nodes": [node.GET_NODE_INFO_V1() for node in nodes],
        "web": host.EXTENSION_WEB_DIRS,
        "translations": import_module("app.custom_node_manager")
        .CustomNodeManager()
        .build_translations(),
        "pyproject": facts,
        "tool": parser.load_pyproject_settings(pack / "pyproject.toml").tool["comfy"],
    }


if __name__ == "__main__":
    base = Path(sys.argv[2])
    start_host(base)
    (pack,) = (base / "custom_nodes").iterdir()
    Path(sys.argv[1]).write_text(json.dumps(look(pack)))
