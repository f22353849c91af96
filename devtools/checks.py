"""`dev.py test`: the linter, the type checker and the tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from . import child
from .environment import Environment
from .paths import checkout_cache
from .progress import say

TYPED = "cache_core"
SHORT, MATRIX, ALL = "every_host and not matrix", "every_host or matrix", ""
"""Marks of tests: for every run on every host, for the full matrix on every host, and all."""
# Not `-m pytest`: that puts the checkout first on the path, and its `nodes` before the host's.
PYTEST = "import sys; sys.path.pop(0); import pytest; sys.exit(pytest.main(sys.argv[1:]))"


def run_all(environment: Environment, arguments: Sequence[str]) -> int:
    """Everything, or with pytest arguments just those tests; 0 if all is well."""
    steps = [] if arguments else [("ruff", ruff()), ("mypy", mypy())]
    steps.append(("pytest", pytest(arguments)))
    return _status([name for name, command in steps if not _passes(environment, name, command)])


def run_marked(
    environments: Iterable[Environment], marks: str, results: Path | None = None
) -> int:
    """The tests with these marks on each host; 0 if all is well.

    results: folder for what each host's tests tell, as JUnit XML.
    """
    failed = []
    for environment in environments:
        told = [f"--junitxml={results / environment.version}.xml"] if results else []
        if not _passes(environment, "pytest", pytest(["-m", marks, *told])):
            failed.append(environment.version)
    return _status(failed)


def run_named(environment: Environment, tests: Sequence[str], results: Path) -> None:
    """These tests, whatever their marks; what they tell goes into a file."""
    _passes(environment, "pytest", pytest(["-m", ALL, f"--junitxml={results}", *tests]))


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
