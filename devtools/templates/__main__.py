"""`python3 -m devtools.templates`: writes example_workflows/, with the environment of dev.py."""

from __future__ import annotations

import sys

from .. import child, environment
from ..errors import DevError
from ..progress import say

WRITE = ("-m", "devtools.templates.examples")


def main() -> int:
    """Sets up the environment where that is needed, and writes the files in it."""
    child.exit_on_terminate()
    try:
        found = environment.prepare()
        return child.call([str(found.python), *WRITE], found.variables())
    except DevError as error:
        say(f"devtools.templates: {error}")
        return 1
    except KeyboardInterrupt:
        return child.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
