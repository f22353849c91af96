"""The real ComfyUI in this process."""

from importlib import import_module

import pytest
import torch
from pack import NAME, load_pack

from devtools.host_runtime import import_host


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    """ComfyUI, imported; its files go to a folder of their own."""
    torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other
    import_host(base=tmp_path_factory.mktemp("comfyui"))


@pytest.fixture(scope="session")
def pack(host):
    """The pack, loaded as ComfyUI loads it."""
    return load_pack()


@pytest.fixture(scope="session")
def part(pack):
    """A module of the pack by its dotted name."""
    return lambda name: import_module(f"{NAME}.{name}")


@pytest.fixture(scope="session")
def wan(host):
    """Tiny Wan models and their sampling: ``tests/support/wan.py``."""
    return import_module("wan")


@pytest.fixture(scope="session")
def caching(pack):
    """The cache on a model, and its traces in short: ``tests/support/caching.py``."""
    return import_module("caching")


@pytest.fixture(scope="session")
def model(wan):
    """A tiny text-to-video Wan in fp32; tests leave it as they found it."""
    return wan.random_wan()


@pytest.fixture
def traces(part, monkeypatch):
    """The traces of the samplings that finish during the test, in order."""
    wrappers = part("nodes.host.wrappers")
    kept, publish = [], wrappers.publish

    def keep(trace):
        kept.append(trace)
        publish(trace)

    monkeypatch.setattr(wrappers, "publish", keep)
    return kept


@pytest.fixture
def run_separately(monkeypatch):
    """Makes the host call a model once per condition, as it does when memory is short."""
    return lambda model: monkeypatch.setattr(model.model, "memory_required", lambda *a, **k: 1e30)


@pytest.fixture
def unalarmed(part, monkeypatch):
    """No magnitude rings the collapse alarm: random models run away under extrapolation."""
    monkeypatch.setattr(part("cache_core.alarm"), "BAND", 1e30)
