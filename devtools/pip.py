"""Runs pip, shows how it goes, and turns its failures into one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .errors import DevError
from .lock import inheritable
from .paths import HOME_VARIABLE
from .progress import Ticker

GIGABYTE = 1e9
MAKE_ROOM = f"free some space, or set {HOME_VARIABLE} to a folder on another disk"
OPTIONS = ("--no-input", "--disable-pip-version-check", "--retries=2")
INSTALL = ("--no-compile", "--no-warn-script-location", "--progress-bar=off")
SHOWN = ("Collecting", "  Downloading", "Downloading", "Installing", "Processing")
LEAKS = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV")
NO_SPACE = ("No space left on device", "[Errno 28]", "not enough space on the disk")
NO_INDEX = ("Retrying (", "ConnectionError", "Could not fetch URL", "(from versions: none)")


class Installer:
    """pip of one interpreter, writing to one log, under one lock.

    `options` go before the command: with ("--python", OTHER) it installs for another one.
    """

    def __init__(self, python: Path, log: Path, lock: int, options: tuple[str, ...] = ()) -> None:
        self.python = python
        self.log = log
        self.lock = lock
        self.options = options

    def install(self, *arguments: str) -> None:
        """`pip install` with these arguments."""
        self._pip("install", *INSTALL, *arguments)

    def download(self, requirement: str, folder: Path) -> Path:
        """Fetches the source distribution of one package and gives its path."""
        source_only = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation")
        anyway = ("--ignore-requires-python", "--progress-bar=off")
        self._pip("download", *source_only, *anyway, "-d", str(folder), requirement)
        return next(folder.glob("*.tar.gz"))

    def _pip(self, command: str, *arguments: str) -> None:
        self.run("-m", "pip", *self.options, command, *OPTIONS, *arguments)

    def run(self, *arguments: str) -> None:
        """Runs the interpreter with these arguments; a failure is a DevError."""
        lines = self._stream([str(self.python), *arguments])
        if lines is not None:
            raise DevError(explain(lines, self.log))

    def _stream(self, command: list[str]) -> list[str] | None:
        """The output of a command that failed, None if it succeeded."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        ticker, lines = Ticker(), []
        with self.log.open("a", encoding="utf-8") as log, self._start(command) as process:
            log.write(f"$ {' '.join(command)}\n")
            try:
                for line in process.stdout or ():
                    lines.append(line.strip())
                    log.write(line)
                    if line.startswith(SHOWN):
                        ticker.show(line.split(" (from")[0].strip())
                failed = process.wait() != 0
            finally:
                process.terminate()
                ticker.done()
        return lines if failed else None

    def _start(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(),
            encoding="utf-8",
            errors="replace",
            pass_fds=inheritable(self.lock),
        )


def environment() -> dict[str, str]:
    """The variables for pip: the user's own settings of it, less what would redirect it."""
    kept = {name: value for name, value in os.environ.items() if name not in LEAKS}
    return {**kept, "PIP_USER": "0", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}


def explain(lines: list[str], log: Path) -> str:
    """One sentence for a failed run of pip."""
    text = "\n".join(lines)
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["no output"]
    last = errors[-1].removeprefix("ERROR:").strip()
    if any(sign in text for sign in NO_SPACE):
        return disk_full(log.parent)
    if any(sign in text for sign in NO_INDEX):
        return f"pip cannot get what it needs; is the package index reachable? {last} (log: {log})"
    return f"pip failed: {last} (log: {log})"


def disk_full(place: Path) -> str:
    """The sentence for a disk that filled up on the way."""
    return f"The disk with {place} is full; {MAKE_ROOM}."


def require_space(folder: Path, gigabytes: float) -> None:
    """Refuses to start an install that the disk cannot hold."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free / GIGABYTE
    if free < gigabytes:
        raise DevError(
            f"{existing} has {free:.1f} GB free and the install needs {gigabytes:g} GB; "
            f"{MAKE_ROOM}."
        )
