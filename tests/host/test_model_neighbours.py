"""Other nodes on the same model, in front of the Apply node and behind it."""

from importlib import import_module

import pytest
import torch

HIDDEN = pytest.param("hidden", marks=pytest.mark.matrix)
LEVELS = ["output", HIDDEN]
NAMES = (
    "LoRA",
    "ModelSamplingSD3",
    "Another attention (SageAttention)",
    "Patches on attention",
    "Guidance between branches (NAG)",
    "Replaced blocks (block swap)",
)
WAY = {"steps": 6, "size": (2, 6, 6)}


@pytest.fixture(scope="module")
def others(pack):
    """Other nodes on the model: ``tests/support/neighbours.py``."""
    return import_module("neighbours")


@pytest.fixture(scope="module")
def watching(host):
    """Counts by evaluation: ``tests/support/watching.py``."""
    return import_module("watching")


@pytest.fixture(params=["before", "behind"])
def together(request, caching, others, model):
    """``together(name, **cache)``: the neighbour before the Apply node, or behind it."""

    def build(name, base=model, **cache):
        neighbour = others.NEIGHBOURS[name]
        if request.param == "before":
            return caching.cached(neighbour(base), **cache)
        return neighbour(caching.cached(base, **cache))

    return build


def test_every_neighbour_is_tried(others):
    assert set(NAMES) == set(others.NEIGHBOURS)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", NAMES)
def test_a_neighbour_works_as_without_the_cache(
    wan, others, model, together, traces, tell, name, level
):
    plain = wan.sample(others.NEIGHBOURS[name](model), **WAY)
    assert not torch.equal(plain, wan.sample(model, **WAY))
    assert torch.equal(plain, wan.sample(together(name, threshold=0.0, level=level), **WAY))
    assert traces[0].counts() == {b: {"computed": 6, "reused": 0} for b in ("cond", "uncond")}
    assert traces[0].failsafes() == {}
    tell("Neighbours", name, result="identical")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", NAMES)
def test_what_it_did_is_in_what_is_reused_and_nothing_runs_for_that(
    wan, caching, watching, model, together, traces, tell, name, level
):
    with caching.module_calls(model) as count:
        base, ran = watching.watched(model, lambda: count("blocks.3"))
        cached = together(name, base, level=level, max_consecutive_skips=1)
        pairs = wan.evaluated_twice(cached, steps=4, size=WAY["size"])
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == "CR" * 4
    assert [bool(calls) for calls in ran] == [True, False] * 4
    caching.assert_reuse_is_exact(pairs, level)
    tell("Neighbours", name, reuse="exact")


def test_a_shift_set_behind_the_node_is_the_one_that_counts(wan, caching, others, model, traces):
    """Both ways the time embeddings are compared along the schedule that is sampled."""
    cache = {"max_consecutive_skips": 1}
    teacache = caching.static("TeaCache", 0.4)
    before = caching.with_policies(others.with_shift(model), teacache, **cache)
    behind = others.with_shift(caching.with_policies(model, teacache, **cache))
    assert torch.equal(wan.sample(before), wan.sample(behind))
    wan.sample(caching.with_policies(model, teacache, **cache))
    first, second, without = map(caching.metrics, traces)
    assert first == second != without


def test_another_attention_is_not_called_where_a_step_is_reused(wan, caching, others, model):
    attended = []
    noticing = others.with_attention(caching.cached(model, max_consecutive_skips=1))
    options = noticing.model_options["transformer_options"]
    attention = options["optimized_attention_override"]

    def notice(*args, **kwargs):
        attended.append(1)
        return attention(*args, **kwargs)

    options["optimized_attention_override"] = notice
    wan.sample(noticing, **WAY)
    # a computed step has self- and cross-attention in four blocks; a reused one in block 0
    assert len(attended) == 3 * 8 + 3 * 2


def test_cfg_cache_leaves_guidance_between_branches_alone(
    wan, part, watching, others, model, traces, tell
):
    """What works on cond and uncond together would be something else without uncond."""
    guided = others.with_nag(model)
    node, widgets = part("nodes.cfgcache").ApplyCFGCache, {"preset": "custom", "interval": 3}
    cached = watching.execute(node, model=guided, **widgets)[0]
    assert torch.equal(wan.sample(guided, steps=12), wan.sample(cached, steps=12))
    assert traces[0].notes == [
        "CFG Cache: guide looks at which branches run together (NAG and the like), so that both "
        "always do"
    ]
    tell("Neighbours", "Guidance between branches (NAG)", CFG="leaves it alone, says why")


def test_comfyui_s_own_nag_node_does_no_harm(wan, caching, model, traces):
    """It guides attention that Wan has not; all it does there is to run both branches at CFG 1."""
    from comfy_extras.nodes_nag import NAGuidance

    guided = NAGuidance.execute(model, 5.0, 0.5, 1.5).args[0]
    way = {"cfg": 1.0, **WAY}
    plain = wan.sample(guided, **way)
    assert torch.equal(plain, wan.sample(caching.cached(guided, 0.0), **way))
    wan.sample(caching.cached(guided, max_consecutive_skips=1), **way)
    assert caching.actions(traces[1]) == caching.actions(traces[1], "uncond") == "CR" * 3
