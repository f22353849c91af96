"""Ranks that share the tokens of one video decide as one, whatever goes wrong on one of them."""

import pytest
import sharded
import torch
import torch.distributed as dist
from sharded import FAULT, POLICIES, STEPS

from cache_core.ranks import Ranks

DYNAMIC = ("FBCache", "EasyCache", "AdaCache")
FAULTS = [name for name in sharded.SCENARIOS if name.startswith(("broken", "failed"))]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two real processes with a gloo group: {scenario: (what rank 0 told, what rank 1 told)}."""
    return sharded.both(tmp_path_factory.mktemp("ranks"))


def alone(name, *sides):
    return sharded.told(sharded.sampled(POLICIES[name], sides))


def known(metrics):
    return [-1.0 if metric is None else metric for metric in metrics]


@pytest.mark.parametrize("name", DYNAMIC)
def test_alone_one_rank_would_reuse_where_the_other_computes(name):
    first, second = alone(name, 0)["pattern"], alone(name, 1)["pattern"]
    assert "RRR" in first and "R" not in second


@pytest.mark.parametrize("name", POLICIES)
def test_ranks_decide_what_one_process_with_all_tokens_does(both, name):
    whole = alone(name, 0, 1)
    assert "R" in whole["pattern"] and whole["errors"] == 0
    for told in both[name]:
        assert known(told["metrics"]) == pytest.approx(known(whole["metrics"]), rel=1e-5)
        for same in ("pattern", "reasons", "errors", "kept"):
            assert told[same] == whole[same]


@pytest.mark.parametrize("name", DYNAMIC)
def test_both_ranks_compare_the_very_same_number(both, name):
    first, second = both[name]
    assert first["reasons"] == second["reasons"] and first["pattern"].count("R") > 4


def test_a_number_that_is_none_on_one_rank_is_none_on_all(both):
    usual = alone("FBCache", 0, 1)["reasons"][FAULT]
    assert usual == "below threshold"
    for told in both["not a number"]:
        assert told["reasons"][FAULT] == "metric not finite" and told["errors"] == 0
    assert both["not a number"][0]["pattern"] == both["not a number"][1]["pattern"]


def test_all_compute_where_one_rank_has_nothing_to_reuse(both):
    first, second = both["no history"]
    assert first["reasons"][FAULT] == "another rank computes"
    assert second["reasons"][FAULT] == "no history"
    assert first["pattern"] == second["pattern"] and "R" in first["pattern"][FAULT:]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_on_one_rank_is_computed_on_all_and_none_waits(both, fault):
    first, second = both[fault]
    assert sorted([first["errors"], second["errors"]]) == [0, 1]
    assert first["pattern"] == second["pattern"] and len(first["pattern"]) == STEPS
    apart = sum(a != b for a, b in zip(first["kept"], second["kept"], strict=True))
    assert apart <= 1  # until the ranks agree again
    assert "R" in first["pattern"][-4:]


def test_a_step_is_corrected_on_all_ranks_or_none(both):
    assert not both["corrected"][1]["raw"][FAULT + 1]
    assert both["failed correction"][1]["raw"][FAULT + 1]


def test_what_is_sent_is_one_average_and_one_agreement_and_another_for_a_reuse(both):
    for told in both["counted"]:
        expected = [[1, 2, 2] if what == "R" else [1, 2] for what in told["pattern"]]
        assert told["sent"] == [n for message in expected for n in message]


def test_static_methods_send_agreements_only(both):
    for told in both["counted static"]:
        assert told["pattern"] == POLICIES["Planned"].plan
        assert told["sent"] == [2] * (STEPS + told["pattern"].count("R"))


def test_alone_nothing_is_sent(both):
    assert [told["sent"] for told in both["counted alone"]] == [[], []]


def test_groups_that_count_are_those_of_several_with_this_rank(both):
    default, pair, single, other, off = False, False, True, True, True
    for told in both["groups"]:
        assert told == [default, pair, single, other, off]


def test_without_a_group_nothing_is_sent(monkeypatch):
    sent = []
    monkeypatch.setattr(dist, "all_reduce", lambda *args, **kwargs: sent.append(args))
    ranks = Ranks.of(None, torch.device("cpu"))
    run = sharded.sampled(POLICIES["FBCache"], ranks=ranks)
    assert ranks.alone and sent == [] and len(run.trace.records) == STEPS


def test_without_torch_distributed_nothing_is_asked_of_it(monkeypatch):
    monkeypatch.setattr(dist, "is_available", lambda: False)
    monkeypatch.delattr(dist, "is_initialized")
    assert Ranks.of(None, torch.device("cpu")).alone
