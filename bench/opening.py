"""A real ComfyUI with the pack in this process, for models with random weights."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from math import inf
from pathlib import Path
from typing import Any

import torch

from devtools.host_runtime import host_path, import_host
from devtools.paths import ROOT


def part(name: str) -> Any:
    """A module of the pack by its dotted name."""
    return import_module(f"{import_module('pack').NAME}.{name}")


def open_host(base: Path, host: Path | None = None, cpu: bool = True) -> None:
    """Imports both; the host's files go to `base`. Attention is torch's own (sdpa). On a CPU one
    thread, which is the steadiest.

    Nothing that a model with random weights makes of its values can ring the collapse alarm: what
    it computes without a cache runs away already.
    """
    if cpu:
        torch.set_num_threads(1)
    sys.path.insert(0, str(host or host_path()))
    import_module("comfy.cli_args").args.use_pytorch_cross_attention = True  # read when imported
    import_host(host, base=base, cpu=cpu)
    support = str(ROOT / "tests" / "support")
    if support not in sys.path:
        sys.path.append(support)
    import_module("pack").load_pack()
    logging.disable(logging.INFO)
    part("cache_core.alarm").BAND = inf
