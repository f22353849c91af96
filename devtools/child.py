"""Runs the long commands, and ends them in an orderly way when dev.py itself is ended."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO

from .paths import ROOT

GRACE_SECONDS = 20.0
INTERRUPTED, TERMINATED = 130, 143
# Lets pytest and the demo stop the ComfyUI that they started.
INTERRUPT = signal.SIGTERM if sys.platform == "win32" else signal.SIGINT


def call(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """Runs a command in the checkout and gives its exit status."""
    with subprocess.Popen(command, cwd=ROOT, env=variables) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            _wait(child)  # the terminal has interrupted it too
            raise
        finally:
            _end(child)


@contextmanager
def started(command: Sequence[str], output: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A command running in the checkout beside this process, all it says going to a file."""
    with subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT) as child:
        try:
            yield child
        finally:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.send_signal(INTERRUPT)
        _wait(child)
        child.kill()


def _wait(child: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_SECONDS)


def exit_on_terminate() -> None:
    """Lets the clean-up run when this process is asked to end."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit(TERMINATED)
