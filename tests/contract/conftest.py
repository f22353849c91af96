"""What a freshly started ComfyUI makes of the pack: one process for all tests of the folder."""

import json
import subprocess
import sys

import fresh_host
import pytest


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """The note of tests/support/fresh_host.py."""
    folder = tmp_path_factory.mktemp("fresh_host")
    note = folder / "note.json"
    command = [sys.executable, fresh_host.__file__, str(note), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(note.read_text())


@pytest.fixture(scope="session")
def nodes(fresh):
    """The nodes' descriptions as the server gives them to the browser, by id."""
    return {node["name"]: node for node in fresh["nodes"]}
