"""A host that lacks what the pack relies on gets nodes that do nothing and say why."""

import ast
import importlib.util
import logging
import os
from importlib import import_module

import pytest
import torch
from checkout import ROOT
from pack import load_afresh

from devtools.host_runtime import HOST_VARIABLE

pytestmark = pytest.mark.every_host


@pytest.fixture
def contract(part):
    return part("nodes.host.contract")


def holder(need):
    """What holds the name that is needed, and the last part of the name."""
    *classes, last = need.name.split(".")
    found = import_module(need.module)
    for name in classes:
        found = getattr(found, name)
    return found, last


def test_this_host_has_everything(contract):
    assert contract.missing() == []


def test_whatever_is_taken_away_is_missed(contract, monkeypatch):
    for need in contract.RELIED_ON:
        with monkeypatch.context() as patch:
            patch.delattr(*holder(need))
            assert contract.missing() == [f"{need} is missing"]


def test_arguments_that_moved_are_noticed(contract, monkeypatch):
    def moved(self, noise, sampler, latent_image, sigmas):
        """An outer_sample whose arguments come in another order."""

    need = contract.WRAPPED[0]
    monkeypatch.setattr(*holder(need), moved)
    (said,) = contract.missing()
    assert "takes (noise, sampler, latent_image, sigmas), not (noise, latent_image" in said


def test_whatever_is_imported_from_the_host_is_in_the_contract(contract):
    """But for the node API itself, without which there are no nodes at all."""
    known = [f"{need}." for need in contract.RELIED_ON]
    for path in (ROOT / "nodes" / "host").glob("*.py"):
        for name in imported(path.read_text()):
            assert any(need.startswith(f"{name}.") for need in known) or not of_host(name), path


def imported(source):
    """Dotted names that a module imports from elsewhere when it is loaded."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of_host(name):
    """True for what is in one of ComfyUI's own files."""
    spec = importlib.util.find_spec(name.split(".")[0])
    place = spec.origin or spec.submodule_search_locations
    return os.environ[HOST_VARIABLE] in str(place)


@pytest.fixture
def crippled(host, monkeypatch):
    """The pack, loaded afresh by a host without a function that it imports."""
    monkeypatch.delattr(import_module("comfy_execution.utils"), "get_executing_context")
    return load_afresh


def test_nodes_without_what_they_need_change_nothing(wan, model, crippled, caplog):
    from watching import execute

    plain = wan.sample(model)
    with caplog.at_level(logging.WARNING), crippled() as pack:
        (said,) = [r.getMessage() for r in caplog.records if r.name.startswith(pack)]
        assert "comfy_execution.utils.get_executing_context is missing" in said
        assert "nothing is cached. Update Wan Step Cache" in said
        nodes = import_module(f"{pack}.nodes")
        for node in (nodes.ApplyFBCache, nodes.ApplyMagCache, nodes.MagCacheCalibrate):
            caplog.clear()
            (unchanged, _) = execute(node, model=model, low_noise_model=None)
            assert unchanged is model
            assert "nothing is cached" in caplog.text
        latent, _, text, _ = execute(nodes.StepCacheReport, latent={}, model=model)
        assert latent == {} and "nothing is cached" in text
        assert torch.equal(plain, wan.sample(unchanged))
