"""What a freshly started ComfyUI makes of the pack as users get it: one process for all tests."""

import json
import subprocess
import sys
from zipfile import ZipFile

import fresh_host
import pytest
from checkout import pack_into


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """The file that the registry would get."""
    path = tmp_path_factory.mktemp("archive") / "node.zip"
    pack_into(path)
    return path


@pytest.fixture(scope="session")
def installed(archive, tmp_path_factory):
    """The archive, unpacked into the custom_nodes folder of a base directory of its own."""
    folder = tmp_path_factory.mktemp("fresh_host") / "custom_nodes" / "wan-step-cache"
    with ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def fresh(installed, tmp_path_factory):
    """The note of tests/support/fresh_host.py."""
    note = tmp_path_factory.mktemp("note") / "note.json"
    command = [sys.executable, fresh_host.__file__, str(note), str(installed.parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(note.read_text())


@pytest.fixture(scope="session")
def nodes(fresh):
    """The nodes' descriptions as the server gives them to the browser, by id."""
    return {node["name"]: node for node in fresh["nodes"]}
