"""One real ComfyUI server for the whole suite."""

import pytest

from devtools.server import ComfyServer


@pytest.fixture(scope="session")
def server():
    """ComfyUI over HTTP, with the pack and the tiny model in it."""
    with ComfyServer() as running:
        yield running
