"""`dev.py matrix`: every combination on every ComfyUI; takes about an hour on two cores."""

from __future__ import annotations

from pathlib import Path

from . import checks, compatibility, hosts, other_hosts
from .environment import Environment
from .paths import checkout_cache
from .progress import say


def run(default: Environment) -> int:
    """All tests on the default host, those for every host and combination on the others; the page.

    0 if all is well. The page is written in any case: it says what failed.
    """
    folder = checkout_cache() / "matrix"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.xml"):
        old.unlink()
    status = other_hosts.beside(
        lambda: checks.run_marked([default], checks.ALL, folder), str(folder)
    )
    text = compatibility.page(found(folder))
    compatibility.PAGE.write_text(text, encoding="ascii")
    say(f"{text}\nLook at {compatibility.PAGE}.")
    return status


def found(folder: Path) -> dict[str, Path]:
    """The results of each host that has any, oldest first."""
    paths = {version: folder / f"{version}.xml" for version in hosts.HOSTS}
    return {version: path for version, path in paths.items() if path.exists()}
