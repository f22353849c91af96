#!/usr/bin/env python3
"""Development commands: python3 dev.py {demo,test,matrix,serve,bench,env} --help."""

import importlib
import sys

OLDEST = (3, 10)
sys.dont_write_bytecode = True


def main() -> int:
    """Checks the Python (in words that old ones understand too) and runs the command."""
    if sys.version_info < OLDEST:
        have, need = (".".join(str(n) for n in v[:2]) for v in (sys.version_info, OLDEST))
        print("dev.py: Python " + need + " or newer is needed; this is " + have + ".")
        return 1
    status: int = importlib.import_module("devtools.commands").main()
    return status


if __name__ == "__main__":
    sys.exit(main())
