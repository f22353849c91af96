"""Which files the repository has, and which of them users get. Works without git."""

import os
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT_DOT_FOLDERS = (".ci", ".github")


def patterns(name):
    """The patterns of an ignore file; only plain names of files and folders are understood."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    strange = [p for p in found if p.startswith(("!", "/")) or "/" in p.rstrip("/")]
    assert not strange, f"{name} has patterns that tests/support/checkout.py cannot read: {strange}"
    return found


def matches(name, ignored):
    """True when a path from the root, or a folder on the way to it, fits a pattern."""
    parts = name.split("/")
    folders = [p.rstrip("/") for p in ignored if p.endswith("/")]
    files = [p for p in ignored if not p.endswith("/")]
    inside = any(fnmatch(part, p) for part in parts[:-1] for p in folders)
    return inside or any(fnmatch(part, p) for part in parts for p in files)


@cache
def repository_files():
    """Every file but what git ignores, as a path from the root."""
    found = []
    for place, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if not f.startswith(".") or f in KEPT_DOT_FOLDERS]
        found += [Path(place, name).relative_to(ROOT).as_posix() for name in names]
    ignored = patterns(".gitignore")
    return sorted(name for name in found if not matches(name, ignored))


@cache
def published_files():
    """What the registry packs: everything but what ``.comfyignore`` subtracts."""
    ignored = patterns(".comfyignore")
    return [name for name in repository_files() if not matches(name, ignored)]


def text_of(name):
    """A file as text, whatever its bytes."""
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")
