"""A folder that is either finished and whole, or built again from nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import DevError


def digest(*parts: str) -> str:
    """One short name for everything a stage is made from."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class Stage:
    """A folder with a stamp beside it, written last: what it was made from, and every file."""

    def __init__(self, folder: Path, made_from: str) -> None:
        self.folder = folder
        self.stamp = folder.with_name(folder.name + ".stamp.json")
        self.made_from = made_from

    def problem(self) -> str | None:
        """Why the folder cannot be used as it is, or None if it can."""
        if not self.folder.exists():
            return "not installed yet"
        record = self._record()
        if record is None:
            return "an earlier install did not finish"
        if record["made_from"] != self.made_from:
            return "its requirements have changed"
        missing = _first_missing(self.folder, record["files"])
        return f"{missing} is missing or damaged" if missing else None

    def clear(self) -> None:
        """Removes what is there, the stamp first."""
        try:
            self.stamp.unlink(missing_ok=True)
            if self.folder.exists():
                shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise DevError(f"{self.folder} cannot be cleared for a new install: {error}.") from None

    def finish(self) -> None:
        """Declares the folder whole."""
        record = {"made_from": self.made_from, "files": dict(_files(self.folder))}
        draft = self.stamp.with_suffix(".tmp")
        draft.write_text(json.dumps(record), encoding="utf-8")
        draft.replace(self.stamp)

    def _record(self) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads(self.stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Every file below the folder with its size, but for what Python compiles on its own."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            path = Path(place, name)
            yield path.relative_to(folder).as_posix(), path.lstat().st_size


def _first_missing(folder: Path, files: dict[str, int]) -> str | None:
    base = str(folder)
    for name, size in files.items():
        try:
            if os.lstat(f"{base}/{name}").st_size != size:
                return name
        except OSError:
            return name
    return None
