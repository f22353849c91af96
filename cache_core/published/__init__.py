"""Numbers that others published, as data files with their sources, and how they are read."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@cache
def published(name: str) -> dict[str, Any]:
    """One data file, by variant. The caller does not write to it."""
    table: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="ascii"))
    return table
