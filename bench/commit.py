"""Which state of the checkout was measured."""

from __future__ import annotations

import subprocess

from devtools.paths import ROOT


def commit() -> str:
    """The commit's hash, with ``-dirty`` behind it where files differ; '' outside of git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine
        return ""
    return done.stdout.strip()
