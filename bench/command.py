"""What the benchmarks' command lines have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from devtools.child import INTERRUPTED, exit_on_terminate
from devtools.errors import DevError
from devtools.progress import say


def command(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], None],
    arguments: Sequence[str] | None,
) -> int:
    """Runs a benchmark and gives the exit status; what the user can mend is said in one line."""
    options = parser.parse_args(arguments)
    exit_on_terminate()
    try:
        run(options)
    except DevError as error:
        say(f"dev.py: {error}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0
