"""Which ranks a sampling of the host has, and that none caches unless all can."""

import pytest
import torch

KEY = "wan_step_cache_ranks"


@pytest.fixture
def asked(part, monkeypatch):
    """What samplings asked for: (wish, device)."""
    ranks, wishes = part("cache_core.ranks").Ranks, []
    of = ranks.of
    monkeypatch.setattr(ranks, "of", lambda *asked: wishes.append(asked) or of(*asked))
    return wishes


@pytest.mark.parametrize("wish", [None, "off"])
def test_an_engine_may_say_which_ranks_sample_together(model, wan, caching, traces, asked, wish):
    cached = caching.cached(model)
    if wish:
        cached.model_options["transformer_options"][KEY] = wish
    wan.sample(cached)
    assert asked == [(wish, model.load_device)]
    assert "R" in caching.actions(traces[0])


def test_without_the_pack_no_rank_is_asked(model, wan, asked):
    wan.sample(model)
    assert asked == []


def test_where_another_rank_cannot_start_none_caches(
    model, wan, caching, traces, part, monkeypatch
):
    plain = wan.sample(model)
    monkeypatch.setattr(part("cache_core.ranks").Ranks, "agree", lambda *asked: False)
    assert torch.equal(plain, wan.sample(caching.cached(model))) and traces == []


def test_a_rank_that_cannot_start_tells_the_others(model, wan, caching, traces, part, monkeypatch):
    plain, told = wan.sample(model), []

    def agree(self, ok, drop):
        told.append(ok)
        return ok

    def broken(*args):
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(part("cache_core.ranks").Ranks, "agree", agree)
    monkeypatch.setattr(part("nodes.host.wrappers"), "start_run", broken)
    assert torch.equal(plain, wan.sample(caching.cached(model))) and traces == []
    assert told == [False]


def test_an_interrupted_call_agrees_on_nothing(model, wan, caching, part, monkeypatch):
    """The others are interrupted too, or wait inside the model: nobody would answer."""
    told, agree = [], part("cache_core.ranks").Ranks.agree
    monkeypatch.setattr(
        part("cache_core.ranks").Ranks, "agree", lambda *asked: told.append(asked) or agree(*asked)
    )

    def interrupt(*args):
        raise KeyboardInterrupt

    handle = model.model.diffusion_model.blocks[0].register_forward_hook(interrupt)
    try:
        for level in ("output", "hidden"):
            with pytest.raises(KeyboardInterrupt):
                wan.sample(caching.cached(model, level=level))
    finally:
        handle.remove()
    assert len(told) == 2  # one each, at the start
