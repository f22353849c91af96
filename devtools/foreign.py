"""A ComfyUI the user already has: COMFYUI_PATH, run with its own Python."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import DevError
from .install import log_file
from .paths import TOOLS, home
from .pip import Installer
from .progress import say
from .stage import Stage, digest

Facts = dict[str, Any]
OLDEST = (0, 18, 2)
PYTHON_VARIABLE = "COMFYUI_PYTHON"
INTERPRETERS = (
    "venv/bin/python",
    ".venv/bin/python",
    "venv/Scripts/python.exe",
    ".venv/Scripts/python.exe",
    "python_embeded/python.exe",
)
PROBE = """
import importlib.util, json, sys
found = {name: importlib.util.find_spec(name) is not None for name in ("torch", "aiohttp", "pip")}
print(json.dumps({"version": sys.version_info[:2], "full": sys.version, **found}))
"""


def version_of(path: Path) -> str:
    """The version of the ComfyUI in this folder; an error if there is none."""
    source = path / "comfyui_version.py"
    if not (path / "main.py").is_file() or not source.is_file():
        raise DevError(
            f"COMFYUI_PATH={path} is not a ComfyUI folder (no main.py and comfyui_version.py)."
        )
    found = re.search(r'__version__\s*=\s*"([^"]+)"', source.read_text(encoding="utf-8"))
    if not found:
        raise DevError(f"{source} does not name a version.")
    return found[1]


def warn_if_old(version: str) -> None:
    """Says so when this ComfyUI is older than what the pack supports."""
    if tuple(int(number) for number in re.findall(r"\d+", version)[:3]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        say(f"Note: ComfyUI {version} is older than {oldest}, the oldest the pack supports.")


def find_python(path: Path) -> tuple[Path, Facts]:
    """The interpreter this ComfyUI runs with, and what is known of it."""
    tried = []
    for candidate in _candidates(path):
        facts = _facts(candidate)
        if facts and facts["torch"] and facts["aiohttp"]:
            return candidate, facts
        tried.append(str(candidate))
    raise DevError(
        f"No Python with torch and aiohttp was found for {path} (tried {', '.join(tried)}); "
        f"set {PYTHON_VARIABLE} to the Python that starts it."
    )


def _candidates(path: Path) -> Iterator[Path]:
    if named := os.environ.get(PYTHON_VARIABLE):
        yield Path(named)
        return
    inside_and_beside = (root / place for root in (path, path.parent) for place in INTERPRETERS)
    yield from (python for python in inside_and_beside if python.exists())
    yield Path(sys.executable)


def _facts(python: Path) -> Facts | None:
    try:
        facts: Facts = json.loads(subprocess.check_output([str(python), "-c", PROBE], text=True))
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return facts


def tools(python: Path, facts: Facts, lock: int) -> Path:
    """A folder with the test tools for this interpreter, so that nothing is put into it."""
    texts = (facts["full"], TOOLS.read_text(encoding="utf-8"))
    made_from = digest(*texts)
    stage = Stage(home() / f"tools-{made_from}", made_from)
    if problem := stage.problem():
        say(f"Installing the test tools in {stage.folder} ({problem}) ...")
        stage.clear()
        runner, options = (python, ()) if facts["pip"] else (sys.executable, ("--python", python))
        pip = Installer(Path(runner), log_file(), lock, tuple(map(str, options)))
        pip.install("--no-deps", "--target", str(stage.folder), "-r", str(TOOLS))
        stage.finish()
    return stage.folder


def adopt(path: Path, lock: int) -> tuple[Path, Path, str, Path]:
    """Its interpreter, its folder, its version, and the folder of the tools."""
    path = path.expanduser().absolute()
    version = version_of(path)
    warn_if_old(version)
    python, facts = find_python(path)
    if tuple(facts["version"]) < (3, 10):
        raise DevError(f"{python} is older than Python 3.10.")
    say(f"Using ComfyUI {version} in {path} with {python}.")
    return python, path, version, tools(python, facts, lock)
