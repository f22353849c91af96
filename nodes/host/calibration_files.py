"""Calibration files in the host's folders for models."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import folder_paths

from ...cache_core import StepCacheError
from ...cache_core.calibration import Calibration
from ...cache_core.calibration_file import read

FOLDER = "step_cache"
SUFFIX = ".safetensors"
NAME = re.compile(
    r"(?!(?i:con|prn|aux|nul|com\d|lpt\d) *(\.|$))[A-Za-z0-9_+][A-Za-z0-9_+. -]{0,99}"
)
"""No separators, no leading dot, none of the device names of Windows."""

RULE = (
    "at most 100 English letters, digits, blanks and any of . _ - +, beginning with a letter, a "
    "digit, _ or +, not ending with a dot or a blank, and no name that Windows reserves (CON, NUL, "
    "COM1 and the like)"
)
"""The same in words, for the node and its errors."""


def register() -> None:
    """Make ``models/step_cache`` a folder type of the host, next to any the user configured."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))
    folder_paths.folder_names_and_paths[FOLDER][1].add(SUFFIX)


def names() -> list[str]:
    """The files a node can choose from."""
    return folder_paths.get_filename_list(FOLDER)


def load(name: str, slot: str) -> Calibration:
    """A calibration by the name that nodes show; StepCacheError if it cannot be used.

    slot: the input of the node in which it was chosen.
    """
    try:
        return _cached(str(_existing(name)), fingerprint(name))
    except StepCacheError as error:
        raise StepCacheError(f"`{slot}`: {error}") from error


def fingerprint(name: str) -> str:
    """Tells two contents of a file apart; its name where there is no such file."""
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None:
        return name
    status = Path(path).stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def wrong_name(name: str) -> str | None:
    """Why this is no name for a calibration, None if it is one. It cannot leave the folder."""
    if NAME.fullmatch(name.removesuffix(SUFFIX)) and not name.endswith((" ", ".")):
        return None
    return f"`name` is {name!r}, but must be a file name without a folder: {RULE}."


def path_for(name: str) -> Path:
    """Where a calibration of this name is written; StepCacheError if it is no file name."""
    wrong = wrong_name(name)
    if wrong:
        raise StepCacheError(wrong)
    folder = Path(folder_paths.get_folder_paths(FOLDER)[0])
    return folder / (name.removesuffix(SUFFIX) + SUFFIX)


def _existing(name: str) -> Path:
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None:
        raise StepCacheError(
            f"Calibration {name!r} is not in models/{FOLDER}: put the file there, or run MagCache "
            "Calibrate."
        )
    return Path(path)


@lru_cache(maxsize=32)
def _cached(path: str, fingerprint: str) -> Calibration:
    return read(Path(path))


register()
