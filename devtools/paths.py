"""Where things live: the checkout, and the per-user home of the environments."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
HOME_VARIABLE = "WAN_STEP_CACHE_DEV_HOME"
REQUIREMENTS = HERE / "requirements.txt"
CONSTRAINTS = HERE / "constraints.txt"
TOOLS = HERE / "tools.txt"


def home() -> Path:
    """The folder that holds every environment, outside the checkout."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().resolve()
    return _user_cache() / "wan-step-cache-dev"


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def checkout_cache() -> Path:
    """Caches of the tools (pytest, mypy, ...) for this checkout, so that none lie in it."""
    return home() / "checkouts" / hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
