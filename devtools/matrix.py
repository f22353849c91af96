"""`dev.py matrix`: every combination on every ComfyUI; takes about an hour on two cores."""

from __future__ import annotations

from pathlib import Path

from . import checks, compatibility, environment, hosts, junit, other_hosts
from .environment import Environment
from .errors import DevError
from .paths import checkout_cache
from .progress import say


def run(default: Environment) -> int:
    """All tests on the default host, those for every host and combination on the others; the page.

    0 if all is well. The page is written in any case: it says what failed.
    """
    folder = results()
    for old in folder.glob("*.xml"):
        old.unlink()
    status = other_hosts.beside(
        lambda: checks.run_marked([default], checks.ALL, folder), str(folder)
    )
    return written(folder) or status


def run_again() -> int:
    """What failed the last time, and the page with what comes of it now."""
    folder = results()
    if not found(folder):
        raise DevError("There are no results to go on from: run `dev.py matrix` first.")
    for version, path in found(folder).items():
        if failed := list(junit.failed(path)):
            again = folder / f"{version}.again.xml"
            checks.run_named(environment.prepare(version), failed, again)
            junit.replace(path, again)
            again.unlink()
    return written(folder)


def results() -> Path:
    """The folder of what the tests tell, a file for each host."""
    folder = checkout_cache() / "matrix"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def found(folder: Path) -> dict[str, Path]:
    """The results of each host that has any, oldest first."""
    paths = {version: folder / f"{version}.xml" for version in hosts.HOSTS}
    return {version: path for version, path in paths.items() if path.exists()}


def written(folder: Path) -> int:
    """Writes the page; 1 if a test failed."""
    text = compatibility.page(found(folder))
    compatibility.PAGE.write_text(text, encoding="ascii")
    say(f"{text}\nLook at {compatibility.PAGE}.")
    return int(any(list(junit.failed(path)) for path in found(folder).values()))
