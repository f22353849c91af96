"""Paths, the pack's root last so that the host's own modules win; what every folder needs."""

import json
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


@pytest.fixture
def tell(record_property):
    """``tell(table, row, **cells)``: what docs/compatibility.md says if the test passes."""
    return lambda table, row, **cells: record_property(
        "compatibility", json.dumps([table, row, cells])
    )
