"""ComfyUI's own EasyCache and LazyCache on the same model: the pack stands aside, and says so."""

from importlib import import_module

import pytest
import torch

RIVALS = ("EasyCache", "LazyCache")
WAY = {"steps": 12, "size": (2, 8, 8)}
NUMBERS = (10.0, 0.15, 0.95, False)
"""Threshold, start, end, verbose: both reuse whatever they may."""


@pytest.fixture(scope="module")
def watching(host):
    """Nodes as the host runs them: ``tests/support/watching.py``."""
    return import_module("watching")


@pytest.fixture(scope="module")
def bf16(wan):
    """A model that computes in bf16: where it computes in fp32 EasyCache writes into its input."""
    model = wan.random_wan(torch.bfloat16)
    model.set_model_compute_dtype(torch.bfloat16)
    return model


@pytest.fixture
def rival():
    """``rival(name, model)``: the host's node on a model."""
    nodes = import_module("comfy_extras.nodes_easycache")
    return lambda name, model: getattr(nodes, f"{name}Node").execute(model, *NUMBERS).args[0]


def warnings(caplog):
    """What was warned of by the pack."""
    found = [record for record in caplog.records if record.levelname == "WARNING"]
    return [r.getMessage() for r in found if "Wan Step Cache" in r.getMessage()]


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_the_pack_stands_aside_and_says_once_what_to_do(
    wan, caching, bf16, rival, traces, tell, caplog, name, first
):
    with caching.module_calls(bf16) as count:
        alone = wan.sample(rival(name, bf16), **WAY)
        computed = count("blocks.3.ffn.0")
        both = {
            "ours": lambda: rival(name, caching.cached(bf16)),
            "theirs": lambda: caching.cached(rival(name, bf16)),
        }[first]()
        assert torch.equal(alone, wan.sample(both, **WAY))
        assert count("blocks.3.ffn.0") == 2 * computed < 2 * WAY["steps"]
    assert alone.isfinite().all()
    assert set(caching.reasons(traces[0])) == {"another cache on the model"}
    (said,) = warnings(caplog)
    assert f"ComfyUI's {name} node and Apply FBCache are on one model" in said
    assert f"leaves everything to {name}: remove one of the two" in said
    assert traces[0].notes == [said.removeprefix("Wan Step Cache: ")]
    assert traces[0].failsafes() == {}
    tell("Neighbours", f"ComfyUI's {name}", result="as without the pack", reuse="by it; one warns")


@pytest.mark.parametrize("name", RIVALS)
def test_cfg_cache_and_chains_stand_aside_too(
    wan, caching, part, watching, bf16, rival, traces, caplog, name
):
    node, widgets = part("nodes.cfgcache").ApplyCFGCache, {"preset": "custom", "interval": 3}
    chain = caching.applied("TaylorSeer", watching.execute(node, model=bf16, **widgets)[0])
    assert torch.equal(
        wan.sample(rival(name, bf16), **WAY), wan.sample(rival(name, chain), **WAY)
    )
    assert "Apply CFG Cache and Apply TaylorSeer are on one model" in warnings(caplog)[0]
    assert {record.action.value for record in traces[0].records} == {"compute"}


def test_where_it_spoils_its_input_the_result_is_as_spoilt_as_without_the_pack(
    wan, caching, model, rival
):
    alone = wan.sample(rival("EasyCache", model), **WAY)
    both = wan.sample(caching.cached(rival("EasyCache", model)), **WAY)
    assert torch.equal(alone.nan_to_num(), both.nan_to_num())


def test_without_them_nothing_is_said(wan, caching, model, traces, caplog):
    wan.sample(caching.cached(model), **WAY)
    assert "R" in caching.actions(traces[0]) and warnings(caplog) == []
