"""The environments: one shared base, and one small one with its sources per ComfyUI version."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from . import foreign, hosts, install
from .errors import DevError
from .host_runtime import PATIENT_THREADS
from .lock import exclusive
from .paths import CONSTRAINTS, REQUIREMENTS, TOOLS, checkout_cache, home
from .pip import disk_full
from .progress import say
from .stage import Stage, digest


@dataclass(frozen=True)
class Environment:
    """An interpreter and the ComfyUI it can run."""

    python: Path
    comfyui: Path
    version: str
    extra_packages: Path | None = None

    def described(self) -> dict[str, str]:
        """What `env --json` prints."""
        return {
            "python": str(self.python),
            "comfyui": str(self.comfyui),
            "comfyui_version": self.version,
        }

    def variables(self) -> dict[str, str]:
        """The variables of every process that runs in this environment."""
        caches = checkout_cache()
        extra = {"PYTHONPATH": str(self.extra_packages)} if self.extra_packages else {}
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        return {
            **PATIENT_THREADS,
            **kept,
            **extra,
            "WAN_STEP_CACHE_HOST": str(self.comfyui),
            "WAN_STEP_CACHE_HOST_VERSION": self.version,
            "PYTHONPYCACHEPREFIX": str(caches / "pycache"),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(caches / "hypothesis"),
        }


def prepare(version: str | None = None) -> Environment:
    """The environment to use, installed or repaired first where that is needed."""
    try:
        with exclusive(home() / "lock") as lock:
            return _prepare(version, lock)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DevError(disk_full(home())) from None
        raise DevError(f"The environment in {home()} cannot be set up: {error}.") from None


def _prepare(version: str | None, lock: int) -> Environment:
    if own := os.environ.get("COMFYUI_PATH"):
        _mention_unused(version)
        return Environment(*foreign.adopt(Path(own), lock))
    folder = home() / f"py{sys.version_info[0]}.{sys.version_info[1]}"
    return _installed(hosts.find(version or hosts.DEFAULT), folder, lock)


def _mention_unused(version: str | None) -> None:
    if version:
        say(f"Note: COMFYUI_PATH is set, so --comfyui {version} has no effect.")


def _installed(host: hosts.Host, folder: Path, lock: int) -> Environment:
    base = base_stage(folder)
    if problem := base.problem():
        install.base(base, problem, lock)
    stage = host_stage(folder, host, base)
    if problem := stage.problem():
        install.host(stage, problem, host, base, lock)
    python = install.venv_python(stage.folder / "venv")
    return Environment(python, stage.folder / "ComfyUI", host.version)


def base_stage(folder: Path) -> Stage:
    """torch, the tools, and what every ComfyUI needs."""
    return Stage(folder / "base", digest(sys.version, sys.base_prefix, *pins()))


def pins() -> list[str]:
    """Every pinned package, however the files are arranged."""
    files = (REQUIREMENTS, CONSTRAINTS, TOOLS)
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return sorted({line for line in lines if line and not line.startswith("#")})


def host_stage(folder: Path, host: hosts.Host, base: Stage) -> Stage:
    """One ComfyUI and the packages that only it needs."""
    made_from = digest(base.made_from, host.release, host.sha256, *host.pins)
    return Stage(folder / f"comfyui-{host.version}", made_from)
