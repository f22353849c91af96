"""The real ComfyUI in this process."""

import pytest
from pack import load_pack

from devtools.host_runtime import import_host


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    """ComfyUI, imported; its files go to a folder of their own."""
    import_host(base=tmp_path_factory.mktemp("comfyui"))


@pytest.fixture(scope="session")
def pack(host):
    """The pack, loaded as ComfyUI loads it."""
    return load_pack()
