"""Tests on every host but the default one: the second lane of `dev.py test` and `dev.py matrix`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import checks, child, environment, hosts
from .errors import DevError
from .progress import say


def beside(work: Callable[[], int], *results: str) -> int:
    """Does the work while the other hosts are installed and tested; their output comes after it.

    results: a folder for the results of the full matrix; without it, the short tests are run.

    Two processes, for the two cores of a small machine. 0 if all is well in both.
    """
    with tempfile.TemporaryFile() as output:
        command = [sys.executable, "-m", "devtools.other_hosts", *results]
        with child.started(command, output) as lane:
            status = work()
            say("--- other hosts (since the start) ...")
            others = lane.wait()
        output.seek(0)
        sys.stdout.write(output.read().decode(errors="replace"))
        sys.stdout.flush()
    return others or status


def main() -> int:
    """This lane."""
    child.exit_on_terminate()
    try:
        versions = (version for version in hosts.HOSTS if version != hosts.DEFAULT)
        prepared = (environment.prepare(version) for version in versions)
        if sys.argv[1:]:
            return checks.run_marked(prepared, checks.MATRIX, Path(sys.argv[1]))
        return checks.run_marked(prepared, checks.SHORT)
    except DevError as error:
        say(f"dev.py: {error}")
        return 1
    except KeyboardInterrupt:
        return child.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
