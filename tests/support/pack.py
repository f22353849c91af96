"""The pack, imported into this process the way ComfyUI imports it: a folder under another name."""

import importlib.util
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "wan_step_cache_under_test"


def load_pack(name=NAME):
    """The pack's module; its parts are then importable as ``wan_step_cache_under_test.*``."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@contextmanager
def load_afresh():
    """The name of the pack loaded once more, as a host that starts now would load it."""
    name = f"{NAME}_afresh"
    try:
        load_pack(name)
        yield name
    finally:
        for loaded in [module for module in sys.modules if module.split(".")[0] == name]:
            del sys.modules[loaded]
