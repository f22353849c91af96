"""Which files the repository has, and which of them users get. Works without git."""

import os
import subprocess
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

ROOT = Path(__file__).resolve().parents[2]
KEPT_DOT_FOLDERS = (".ci", ".github")


def patterns(name):
    """The patterns of an ignore file: names anywhere, or ``/name/`` of a folder at the top.

    No others are understood here.
    """
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    strange = [p for p in found if p.startswith("!") or "/" in p.removeprefix("/").rstrip("/")]
    strange += [p for p in found if p.startswith("/") and not p.endswith("/")]
    assert not strange, f"{name} has patterns that tests/support/checkout.py cannot read: {strange}"
    return found


def matches(name, ignored):
    """True when a path from the root, or a folder on the way to it, fits a pattern."""
    parts = name.split("/")
    at_top = [p.strip("/") for p in ignored if p.startswith("/")]
    folders = [p.rstrip("/") for p in ignored if p.endswith("/") and not p.startswith("/")]
    files = [p for p in ignored if not p.endswith("/")]
    inside = any(fnmatch(part, p) for part in parts[:-1] for p in folders)
    inside = inside or any(fnmatch(part, p) for part in parts[:-1][:1] for p in at_top)
    return inside or any(fnmatch(part, p) for part in parts for p in files)


@cache
def repository_files():
    """Every file but what git ignores, as a path from the root."""
    found = []
    for place, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if not f.startswith(".") or f in KEPT_DOT_FOLDERS]
        found += [Path(place, name).relative_to(ROOT).as_posix() for name in names]
    ignored = [*patterns(".gitignore"), ".git"]  # a file in a working tree of its own
    return sorted(name for name in found if not matches(name, ignored))


@cache
def published_files():
    """What the registry packs: everything but what ``.comfyignore`` subtracts."""
    ignored = patterns(".comfyignore")
    return [name for name in repository_files() if not matches(name, ignored)]


def tracked_files():
    """What git tracks and is still there; nothing where there is no git."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return []
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


def pack_into(path):
    """Write the archive that the registry would get."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name in published_files():
            archive.write(ROOT / name, name)


def text_of(name):
    """A file as text, whatever its bytes."""
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")
