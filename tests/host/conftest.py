"""The real ComfyUI in this process."""

from importlib import import_module

import pytest
import torch
from pack import NAME, load_pack

from devtools.host_runtime import import_host


class Runs(list):
    """Runs that were seen; ``histories``: how many each of them had after each evaluation."""

    def __init__(self):
        super().__init__()
        self.histories = []

    def saw(self, run):
        """An evaluation of a run has ended."""
        if run not in self:
            self.append(run)
            self.histories.append([])
        self.histories[-1].append(len(run.store.histories))


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    """ComfyUI, imported; its files go to a folder of their own."""
    torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other
    import_host(base=tmp_path_factory.mktemp("comfyui"))


@pytest.fixture(scope="module", autouse=True)
def forgotten(host):
    """The host forgets models of which the tests have dropped every patcher but the first.

    It follows a clone that dies to its parent, but no further, and then takes the model, which
    lives on in the session's fixture, for a leak.
    """
    yield
    management = import_module("comfy.model_management")
    alive = [loaded for loaded in management.current_loaded_models if loaded.model is not None]
    management.current_loaded_models[:] = alive


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
def passes(pack):
    """Whose the rows of model calls are, and whether they ran: ``tests/support/passes.py``."""
    return import_module("passes")


@pytest.fixture(scope="session")
def guiding(pack):
    """CFG Cache, and what guidance makes of the branches: ``tests/support/guiding.py``."""
    return import_module("guiding")


@pytest.fixture(scope="session")
def prompts(host):
    """Conditions of several kinds: ``tests/support/prompts.py``."""
    return import_module("prompts")


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
def runs(part, monkeypatch):
    """The runs that start during the test, in order, and how many histories they had."""
    wrappers = part("nodes.host.wrappers")
    started, report = Runs(), wrappers.report_evaluation

    def look(run):
        started.saw(run)
        report(run)

    monkeypatch.setattr(wrappers, "report_evaluation", look)
    return started


@pytest.fixture
def run_separately(monkeypatch):
    """Makes the host call a model once per condition, as it does when memory is short."""
    return lambda model: monkeypatch.setattr(model.model, "memory_required", lambda *a, **k: 1e30)


@pytest.fixture
def unalarmed(part, monkeypatch):
    """No magnitude rings the collapse alarm: random models run away under extrapolation."""
    monkeypatch.setattr(part("cache_core.alarm"), "BAND", 1e30)


@pytest.fixture
def partly_loaded(host, monkeypatch):
    """``partly_loaded(model, share)``: the host loads this share of it, the next time it does.

    The rest stays where it is, and is cast and patched by every layer for every call.
    """
    from comfy.model_management import LoadedModel

    load = LoadedModel.model_load

    def limit(model, share):
        budget = max(share * model.model_size(), 0.1)  # what it says itself with --novram
        monkeypatch.setattr(
            LoadedModel, "model_load", lambda self, _=0, **more: load(self, budget, **more)
        )
        model.detach()

    return limit
