"""What the sources may import and do, read from the sources."""

import ast
import re
import sys
from pathlib import PurePosixPath

from checkout import published_files, repository_files, text_of

LIBRARIES = {"torch", "numpy", "einops", "safetensors"}
HOST = {
    "comfy", "comfy_api", "comfy_api_nodes", "comfy_config", "comfy_execution", "comfy_extras",
    "app", "comfyui_version", "execution", "folder_paths", "latent_preview", "node_helpers",
    "nodes", "server",
}  # fmt: skip
NODES_MAY = {"comfy_api", "comfy_execution.graph_utils"}
"""What of the host nodes may import outside nodes/host."""

PACK = [name for name in published_files() if name.endswith(".py")]
CORE = [name for name in PACK if name.startswith("cache_core/")]
NODES = [name for name in PACK if not name.startswith(("cache_core/", "nodes/host/"))]
SOURCES = [name for name in repository_files() if name.endswith(".py")]


def tree(name):
    return ast.parse(text_of(name), name)


def imports(name):
    """Absolute imports of a file, dotted, with the name imported; relative ones stay inside."""
    inside = PurePosixPath(name).parent.parts
    found = []
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= len(inside) + 1, f"{name} imports from above the pack"
    return found


def root_of(dotted):
    return dotted.split(".")[0]


def below(dotted, names):
    """True for one of the names and what is inside it."""
    return any(dotted == name or dotted.startswith(name + ".") for name in names)


def offenders(names, faults):
    """The files with faults, and what they are."""
    return {name: found for name in names if (found := faults(name))}


def test_the_pack_is_there():
    assert len(CORE) > 10 and len(NODES) > 4 and "__init__.py" in PACK
    assert not [name for name in PACK if name.startswith(("tests/", "devtools/", "bench/"))]


def test_the_core_imports_torch_and_the_standard_library_alone():
    may = LIBRARIES | sys.stdlib_module_names
    assert offenders(CORE, lambda n: [d for d in imports(n) if root_of(d) not in may]) == {}


def test_the_pack_imports_what_every_host_brings():
    may = LIBRARIES | {"PIL"} | HOST | sys.stdlib_module_names
    assert offenders(PACK, lambda n: [d for d in imports(n) if root_of(d) not in may]) == {}


def test_only_nodes_host_knows_the_host():
    def of_host(name):
        found = [dotted for dotted in imports(name) if root_of(dotted) in HOST]
        return [dotted for dotted in found if not below(dotted, NODES_MAY)]

    assert offenders(NODES, of_host) == {}


def test_no_model_code_of_the_host_is_imported():
    models = ("comfy.ldm", "comfy.text_encoders", "comfy.model_base")
    assert offenders(PACK, lambda n: [d for d in imports(n) if below(d, models)]) == {}


def needed(name):
    """Modules of the core that a module of the core needs when it is imported."""
    plain = tree(name)
    ifs = [n for n in ast.walk(plain) if isinstance(n, ast.If)]
    for_types = {id(n) for i in ifs if "TYPE_CHECKING" in ast.dump(i.test) for n in ast.walk(i)}
    nodes = [n for n in ast.walk(plain) if isinstance(n, ast.ImportFrom) and n.level == 1]
    return {n.module for n in nodes if id(n) not in for_types}


def test_the_core_has_no_circle_of_imports():
    needs = {PurePosixPath(name).stem: needed(name) for name in CORE}
    while needs:
        free = [name for name, others in needs.items() if not others & needs.keys()]
        assert free, f"these import each other: {sorted(needs)}"
        needs = {name: others for name, others in needs.items() if name not in free}


def test_sources_are_ascii():
    assert [name for name in SOURCES if not text_of(name).isascii()] == []


def test_the_pack_prints_nothing_and_runs_no_text():
    banned = {"print", "eval", "exec", "compile", "__import__", "breakpoint"}

    def calls(name):
        nodes = [n for n in ast.walk(tree(name)) if isinstance(n, ast.Call)]
        return [n.lineno for n in nodes if isinstance(n.func, ast.Name) and n.func.id in banned]

    assert offenders(PACK, calls) == {}


def broad_handlers(name):
    """How many handlers of a file catch everything."""
    handlers = [n for n in ast.walk(tree(name)) if isinstance(n, ast.ExceptHandler)]
    caught = [ast.unparse(n.type) if n.type else "Exception" for n in handlers]
    return sum(bool(re.search(r"\b(Base)?Exception\b", what)) for what in caught)


def test_one_handler_in_the_pack_catches_every_error():
    assert offenders(PACK, broad_handlers) == {"cache_core/shield.py": 1}


def module_state(name):
    """Names at the top of a file that are bound to something that can change."""
    mutable = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    plain = tree(name)
    bound = [n for n in plain.body if isinstance(n, ast.Assign) and isinstance(n.value, mutable)]
    names = {target.id for n in bound for target in n.targets if isinstance(target, ast.Name)}
    changed = {x for n in ast.walk(plain) if isinstance(n, ast.Global) for x in n.names}
    return changed | {x for x in names if not x.isupper() and x != "__all__"}


def test_no_module_keeps_state():
    assert offenders(PACK, module_state) == {}


def test_no_file_of_the_pack_is_longer_than_a_reader_bears():
    assert [name for name in PACK if text_of(name).count("\n") > 250] == []
