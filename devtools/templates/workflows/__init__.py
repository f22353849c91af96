"""One small file per example workflow, found by itself.

It defines WORKFLOW: what the note says, the prompt, and the pack's node, which `wan21`, `wan22` or
`tiny` (or a graph of its own) puts into a workflow. `python3 -m devtools.templates` then writes it.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from ..graph import Workflow


def all_workflows() -> list[Workflow]:
    """Every example, in the order of their files."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [import_module(f"{__name__}.{name}").WORKFLOW for name in names]
