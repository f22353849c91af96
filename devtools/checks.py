"""`dev.py test`: the linter, the type checker and the tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from . import child
from .environment import Environment
from .paths import checkout_cache
from .progress import say

TYPED = "cache_core"
# Not `-m pytest`: that puts the checkout first on the path, and its `nodes` before the host's.
PYTEST = "import sys; sys.path.pop(0); import pytest; sys.exit(pytest.main(sys.argv[1:]))"


def run_all(environment: Environment, arguments: Sequence[str]) -> int:
    """Everything, or with pytest arguments just those tests; 0 if all is well."""
    steps = [] if arguments else [("ruff", ruff()), ("mypy", mypy())]
    steps.append(("pytest", pytest(arguments)))
    return _status([name for name, command in steps if not _passes(environment, name, command)])


def run_short(environments: Iterable[Environment]) -> int:
    """The short tests that hold for every host, on each of these; 0 if all is well."""
    command = pytest(["-m", "every_host and not matrix"])
    return _status([e.version for e in environments if not _passes(e, "pytest", command)])


def _status(failed: Sequence[str]) -> int:
    if failed:
        say(f"dev.py: failed: {', '.join(failed)}.")
    return 1 if failed else 0


def ruff() -> list[str]:
    """The linter's command line."""
    return ["-m", "ruff", "check", f"--cache-dir={checkout_cache() / 'ruff'}", "."]


def mypy() -> list[str]:
    """The type checker's command line."""
    return ["-m", "mypy", f"--cache-dir={checkout_cache() / 'mypy'}", TYPED]


def pytest(arguments: Sequence[str]) -> list[str]:
    """The command line of the tests."""
    return ["-c", PYTEST, "-o", f"cache_dir={checkout_cache() / 'pytest'}", *arguments]


def _passes(environment: Environment, name: str, command: list[str]) -> bool:
    say(f"--- {name} (ComfyUI {environment.version})")
    return child.call([str(environment.python), *command], environment.variables()) == 0
