"""Which branch decides, and that all rows of one model call do the same."""

from itertools import cycle

import pytest
import torch

pytestmark = pytest.mark.every_host

LEVELS = ("output", "hidden")


@pytest.fixture
def scripted(part, monkeypatch):
    """``scripted(a, b, ...)``: the distances that FBCache seems to measure, in turn."""

    def arrange(*distances):
        turn = cycle(distances)

        def distance(self, state, features):
            return None if state.reference is None else torch.tensor(next(turn))

        monkeypatch.setattr(part("cache_core").FBCache, "distance", distance)

    return arrange


def model_calls(wan, model, **more):
    """How many rows every model call of a sampling had."""
    rows = []
    head = model.model.diffusion_model.head
    handle = head.register_forward_hook(lambda module, args, out: rows.append(len(out)))
    wan.sample(model, **more)
    handle.remove()
    return rows


def test_the_fixture_separates_the_branches(wan, model, run_separately):
    assert model_calls(wan, model, steps=3) == [2] * 3
    run_separately(model)
    assert model_calls(wan, model, steps=3) == [1] * 6


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate"])
def test_one_decision_serves_both_branches(
    wan, caching, model, traces, run_separately, scripted, level, separately
):
    if separately:
        run_separately(model)
    scripted(0.1, 0.9, 0.2, 0.3, 0.8)
    wan.sample(caching.cached(model, 0.5, level), steps=11)
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == "CRCRRCRCRRC"
    for records in caching.evaluations(traces[0]):
        assert len(records) == 2
        assert len({record.metric for record in records}) == 1
    assert traces[0].failsafes() == {}


def metrics(trace, branch):
    return [record.metric for record in trace.records if record.branch == branch]


def test_batched_it_is_cond_that_decides(wan, caching, model, traces):
    for mode in ("separate", "cond"):
        wan.sample(caching.cached(model, 0.0, cfg_mode=mode))
    each, one = traces
    assert metrics(each, "cond")[1:] != metrics(each, "uncond")[1:]
    assert metrics(one, "cond") == metrics(one, "uncond") == metrics(each, "cond")


def test_run_separately_it_is_the_branch_that_runs_first(
    wan, caching, model, traces, run_separately
):
    run_separately(model)
    for mode in ("separate", "cond"):
        wan.sample(caching.cached(model, 0.0, cfg_mode=mode))
    each, one = traces
    first = each.records[0].branch
    assert metrics(one, "cond") == metrics(one, "uncond") == metrics(each, first)


@pytest.mark.parametrize("level", LEVELS)
def test_separate_branches_run_separately_may_differ(
    wan, caching, model, traces, run_separately, scripted, level
):
    run_separately(model)
    scripted(0.1, 0.9)
    wan.sample(caching.cached(model, 0.5, level, cfg_mode="separate"), steps=6)
    first, second = (record.branch for record in traces[0].records[:2])
    assert caching.actions(traces[0], first) == "CRRRRR"
    assert caching.actions(traces[0], second) == "CCCCCC"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("distances", [(0.1, 0.9), (0.9, 0.1)], ids=["first", "second"])
def test_separate_branches_batched_together_are_reused_only_if_both_agree(
    wan, caching, model, traces, scripted, level, distances
):
    plain = wan.sample(model, steps=6)
    scripted(*distances)
    disagreeing = caching.cached(model, 0.5, level, cfg_mode="separate")
    assert torch.equal(plain, wan.sample(disagreeing, steps=6))
    joined, above = ["batched with a computed branch"] * 5, ["above threshold"] * 5
    found = sorted(caching.reasons(traces[0], branch)[1:] for branch in ("cond", "uncond"))
    assert found == sorted([joined, above])
    scripted(0.1, 0.2)
    wan.sample(disagreeing, steps=6)
    assert caching.actions(traces[1]) == caching.actions(traces[1], "uncond") == "CRRRRR"


@pytest.mark.parametrize("level", LEVELS)
def test_with_all_a_later_branch_follows_one_that_computes_and_cannot_undo_one_that_does_not(
    wan, caching, model, traces, run_separately, scripted, level
):
    run_separately(model)
    scripted(0.9, 0.1)
    wan.sample(caching.cached(model, 0.5, level, cfg_mode="all"), steps=4)
    scripted(0.1, 0.9)
    wan.sample(caching.cached(model, 0.5, level, cfg_mode="all"), steps=4)
    first, second = (record.branch for record in traces[0].records[:2])
    assert caching.actions(traces[0], first) == caching.actions(traces[0], second) == "CCCC"
    assert caching.reasons(traces[0], second)[1:] == ["batched with a computed branch"] * 3
    assert caching.actions(traces[1], first) == "CRRR"
    assert caching.actions(traces[1], second) == "CCCC"


@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate"])
def test_with_all_the_branches_of_a_static_method_agree(
    wan, caching, part, model, traces, run_separately, separately
):
    """The ratios of uncond fall faster: alone, cond would be reused for longer."""
    if separately:
        run_separately(model)
    magcache = part("cache_core.magcache")
    curve = magcache.Curve((1.0, 0.5, 0.0), ((1.0, 0.99, 0.99), (1.0, 0.6, 0.6)))
    for mode in ("all", "cond"):
        policy = magcache.MagCache(0.3, 5, curve)
        wan.sample(caching.with_policies(model, policy, cfg_mode=mode), 12)
    agreed, cond = traces
    assert caching.actions(agreed) == caching.actions(agreed, "uncond") == agreed.methods[0].plan
    assert caching.actions(agreed).count("R") < caching.actions(cond).count("R")
    assert "batched with a computed branch" not in caching.reasons(agreed)


def test_a_branch_computed_for_its_companion_counts_as_computed(
    wan, caching, model, traces, scripted
):
    agree, differ = (0.1, 0.1), (0.1, 0.9)
    scripted(*differ, *differ, *agree, *agree, *agree)
    cached = caching.cached(model, 0.5, cfg_mode="separate", max_consecutive_skips=2)
    wan.sample(cached, steps=6)
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == "CCCRRC"
    limit = ["max consecutive skips"]
    assert caching.reasons(traces[0])[-1:] == caching.reasons(traces[0], "uncond")[-1:] == limit


@pytest.mark.parametrize("level", LEVELS)
def test_branches_split_and_joined_within_a_sampling_are_followed(
    wan, caching, model, traces, monkeypatch, level
):
    needed = model.model.memory_required
    memory = {"short": False}

    def sometimes_short(*args, **kwargs):
        return 1e30 if memory["short"] else needed(*args, **kwargs)

    def function(evaluate, x, sigmas):
        turns = iter("BBSSBBSB")  # batched or separate

        def one(x, sigma):
            memory["short"] = next(turns) == "S"
            return evaluate(x, sigma)

        return wan.euler(one, x, sigmas)

    monkeypatch.setattr(model.model, "memory_required", sometimes_short)
    plain = wan.sample_with(function, model)
    armed = wan.sample_with(function, caching.cached(model, 0.0, level))
    assert torch.equal(plain, armed)
    wan.sample_with(function, caching.cached(model, 1.0, level))
    assert caching.actions(traces[1]) == caching.actions(traces[1], "uncond") == "CRCRCRCC"
    assert set(traces[1].failsafes()) == {"changed input"}
