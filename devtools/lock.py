"""A lock between processes that ends with its holder, however that one ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .progress import say

RETRY_SECONDS = 0.2

if sys.platform == "win32":
    import msvcrt

    def _take(handle: IO[bytes]) -> None:
        handle.seek(0)
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(handle: IO[bytes]) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def exclusive(path: Path) -> Iterator[int]:
    """Holds the lock file at `path`, waiting for another holder first; gives its descriptor.

    A child process that inherits the descriptor keeps the lock for as long as it lives, so
    an installer that outlives its killed parent is waited for too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        _wait(handle)
        yield handle.fileno()


def _wait(handle: IO[bytes]) -> None:
    told = False
    while not _taken(handle):
        if not told:
            say("Waiting for another dev.py that is setting up the environment ...")
        told = True
        time.sleep(RETRY_SECONDS)


def _taken(handle: IO[bytes]) -> bool:
    try:
        _take(handle)
    except OSError:
        return False
    return True


def inheritable(descriptor: int) -> tuple[int, ...]:
    """The descriptors that hand the lock on to a child process, where the system can."""
    return (descriptor,) if os.name == "posix" else ()
