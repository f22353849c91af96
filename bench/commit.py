"""Which state of a checkout was measured."""

from __future__ import annotations

import subprocess
from pathlib import Path

from devtools.paths import ROOT

WRITTEN = (":(exclude)bench/results", ":(exclude)docs")


def commit(folder: Path = ROOT) -> str:
    """The commit that a checkout is at; `+` if it was changed; '' for folders that are none.

    What benchmarks write does not count.
    """
    if not (folder / ".git").exists():
        return ""
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".", *WRITTEN)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+" if changed else "")


def _git(folder: Path, *words: str) -> str:
    return subprocess.check_output(["git", "-C", str(folder), *words], text=True).strip()
