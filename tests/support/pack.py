"""The pack, imported into this process the way ComfyUI imports it: a folder under another name."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "wan_step_cache_under_test"


def load_pack():
    """The pack's module; its parts are then importable as ``wan_step_cache_under_test.*``."""
    if NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        module = importlib.util.module_from_spec(spec)
        sys.modules[NAME] = module
        spec.loader.exec_module(module)
    return sys.modules[NAME]
