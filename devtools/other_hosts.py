"""The short tests on every host but the default one: the second lane of `dev.py test`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable

from . import checks, child, environment, hosts
from .errors import DevError
from .progress import say


def beside(work: Callable[[], int]) -> int:
    """Does the work while the other hosts are installed and tested; their output comes after it.

    Two processes, for the two cores of a small machine. 0 if all is well in both.
    """
    with tempfile.TemporaryFile() as output:
        command = [sys.executable, "-m", "devtools.other_hosts"]
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
        return checks.run_short(environment.prepare(version) for version in versions)
    except DevError as error:
        say(f"dev.py: {error}")
        return 1
    except KeyboardInterrupt:
        return child.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
