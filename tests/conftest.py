"""Paths, the pack's root last so that the host's own modules win; the server of the suite."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
for folder in (ROOT, ROOT / "tests" / "support", ROOT / "tests" / "assets"):
    sys.path.append(str(folder))


@pytest.fixture(scope="session")
def server():
    """One real ComfyUI for the whole suite, over HTTP, with the pack and the tiny model in it."""
    from devtools.server import ComfyServer

    with ComfyServer() as running:
        yield running
