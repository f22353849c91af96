"""What dev.py says while it works: on stderr, so that stdout stays for results."""

from __future__ import annotations

import sys
import time

WIDTH = 96
QUIET_SECONDS = 10.0


def say(text: str) -> None:
    """One line of progress."""
    print(text, file=sys.stderr, flush=True)


class Ticker:
    """The latest line of a long command: kept on one line in a terminal, else now and then."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.started = self.last = time.monotonic()

    def show(self, text: str) -> None:
        """Shows this line if it is time to."""
        now = time.monotonic()
        line = f"    {now - self.started:4.0f} s  {text}"[:WIDTH]
        if self.live:
            sys.stderr.write("\r" + line.ljust(WIDTH))
            sys.stderr.flush()
        elif now - self.last >= QUIET_SECONDS:
            self.last = now
            say(line)

    def done(self) -> None:
        """Wipes the live line."""
        if self.live:
            sys.stderr.write("\r" + " " * WIDTH + "\r")
            sys.stderr.flush()
