"""Imports a ComfyUI into this process, for tests and measurements without a server."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

HOST_VARIABLE = "WAN_STEP_CACHE_HOST"
# Threads that spin while they wait slow a small model many times where the cores are shared.
PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}


def host_path() -> Path:
    """The ComfyUI that dev.py chose for this process."""
    return Path(os.environ[HOST_VARIABLE])


def import_host(path: Path | None = None, *, base: Path | None = None, cpu: bool = True) -> None:
    """Makes `import comfy` and the rest of the ComfyUI at `path` work in this process.

    `base` is its base directory (models, output, user, ...). Call this before anything
    imports comfy; a second call with the same ComfyUI changes nothing.
    """
    place = str(path or host_path())
    if place in sys.path:
        sys.path.remove(place)
    sys.path.insert(0, place)
    args = importlib.import_module("comfy.cli_args").args
    args.cpu = cpu
    if base is not None:
        args.base_directory = str(base)
    importlib.import_module("utils.extra_config")  # before another module can take that name
    importlib.import_module("comfy.model_management")
