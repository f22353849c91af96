"""Every class of Wan that the host has, with all that it is conditioned on.

A reuse at the point that was computed gives the computed result, so nothing that a class adds
between its blocks is lost or done twice; and on a reuse it does not run.
"""

from importlib import import_module

import pytest
import torch

EVERYWHERE = ("T2V", "I2V 2.1", "TI2V 5B, image", "VACE", "S2V", "SCAIL", "InfiniteTalk")
HERE = (
    *("I2V 2.2", "FLF2V", "Fun Control 2.2", "VACE, two clips", "Camera 2.1", "HuMo 1.7B"),
    *("Animate", "SCAIL-2", "WanDancer", "WanDancer, other rate", "Phantom", "Bernini"),
    *("Causal, other samplers", "Uni3C"),
)
MATRIX = (
    *("TI2V 5B, text", "Fun InP", "Fun Control 2.1", "Camera 2.2", "HuMo 17B", "FlowRVS"),
    *("Uni3C on I2V", "InfiniteTalk, two speakers"),
)
NAMES = [
    *(pytest.param(name, marks=pytest.mark.every_host) for name in EVERYWHERE),
    *HERE,
    *(pytest.param(name, marks=pytest.mark.matrix) for name in MATRIX),
]
LEVELS = ("output", "hidden")
METHODS = [
    *(pytest.param("FBCache", level, id=f"FBCache-{level}") for level in LEVELS),
    pytest.param("MagCache", "hidden", id="MagCache-hidden"),
    pytest.param("MagCache", "output", id="MagCache-output", marks=pytest.mark.matrix),
]
TABLE = "Wan classes"


@pytest.fixture(scope="session")
def kinds(pack):
    return import_module("kinds")


@pytest.fixture(scope="session")
def watching(host):
    return import_module("watching")


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def kind(kinds, name):
    found = kinds.KINDS[name]
    if found.missing:
        pytest.skip(f"this ComfyUI lacks {found.missing}")
    return found


@pytest.fixture(scope="module")
def given(kind):
    """A model of this kind, and what it is sampled with; tests leave it as they found it."""
    return kind.given()


@pytest.fixture(scope="module")
def plain(wan, given):
    """The uncached latents."""
    return wan.sample(given.model, **short(given))


@pytest.fixture
def cached(caching, part):
    """``cached(model, method, level, reuses=True)``: reuses every second evaluation, or never."""

    def with_method(model, method, level, reuses=True):
        fbcache = part("cache_core").FBCache(1.0 if reuses else 0.0)
        static = caching.static("MagCache", 10.0 if reuses else 0.0)
        policy = {"FBCache": fbcache, "MagCache": static}[method]
        return caching.with_policies(model, policy, level=level, max_consecutive_skips=1)

    return with_method


@pytest.fixture
def evaluated(wan, caching, watching, cached, traces):
    """Results of a sampling that evaluates the model three times at every point.

    And a function that takes from them, or from what else is known of each evaluation, pairs of a
    computed one and a reused one that follows it at the same point.
    """

    def sampled(model, method, level, **how):
        results = watching.evaluated_thrice(wan, cached(model, method, level), **how)
        evaluations = caching.evaluations(traces[-1])
        assert watching.reused_where_computed(results, evaluations)
        return results, lambda known: watching.reused_where_computed(known, evaluations)

    return sampled


def short(given, **more):
    """How it is sampled: in two steps if the kind says nothing else."""
    return {"steps": 2, **given.how, **more}


def test_all_kinds_are_tried(kinds):
    assert sorted((*EVERYWHERE, *HERE, *MATRIX)) == sorted(kinds.KINDS)


def test_the_host_takes_it_for_what_it_is_and_so_does_the_pack(part, kind, given):
    assert type(given.model.get_model_object("diffusion_model")).__name__ == kind.class_name
    found = part("nodes.host").recognise(given.model)
    assert found.kind == kind.model_type
    assert (found.dim, found.layers) == (kind.config.get("dim", 128), kind.layers)
    assert part("cache_core.variants").KIND_LABELS[found.kind] in found.label


def test_what_it_is_given_matters(wan, kind, given, plain):
    """Else nothing that is said of it here would mean anything."""
    assert plain.isfinite().all()
    for what in kind.matter:
        less = kind.without(given, what)
        assert not torch.equal(plain, wan.sample(less.model, **short(less))), what


@pytest.mark.parametrize(("method", "level"), METHODS)
def test_computing_is_untouched_and_reuse_exact(
    wan, caching, given, name, plain, cached, evaluated, traces, tell, method, level
):
    armed = wan.sample(cached(given.model, method, level, reuses=False), **short(given))
    assert torch.equal(plain, armed)
    results, at_one_point = evaluated(given.model, method, level, **short(given))
    caching.assert_reuse_is_exact(at_one_point(results), level)
    branches = 1 if given.how.get("cfg") == 1.0 else 2
    for trace, evaluations in zip(traces, (2, 6), strict=True):
        assert [len(records) for records in caching.evaluations(trace)] == [branches] * evaluations
        assert trace.failsafes() == {}
        assert all(trace.costs.values())
    assert set(caching.actions(traces[0])) == {"C"}
    tell(TABLE, name, **{level: "exact"})


@pytest.mark.parametrize(("method", "level"), METHODS)
def test_on_a_reuse_nothing_runs_that_it_does_not_need(
    kinds, kind, name, given, evaluated, watching, tell, method, level
):
    total = kinds.total
    with kinds.counting(given.model) as calls:
        model, ran = watching.watched(given.model, calls)
        _, at_one_point = evaluated(model, method, level, **short(given))
    computed, reused = at_one_point(ran)[0]
    assert all(total(computed, module) for module in (*kind.between, *kind.within, *kind.encoders))
    assert [total(computed, f"blocks.{i}.ffn.0") for i in range(kind.layers)] == [1] * kind.layers

    probes, hidden = method == "FBCache", level == "hidden"
    assert total(reused, *kind.between) == 0
    assert total(reused, "blocks.0.") == (total(computed, "blocks.0.") if probes else 0)
    assert total(reused, *(f"blocks.{i}." for i in range(1, kind.layers))) == 0
    of_block_0 = total(computed, *kind.within) // kind.layers
    assert total(reused, *kind.within) == (of_block_0 if probes else 0)
    assert total(reused, *kind.encoders) == (total(computed, *kind.encoders) if probes else 0)
    assert total(reused, "head") == (total(computed, "head") if hidden else 0)
    passes = probes + hidden
    assert total(reused, "patch_embedding") == passes * total(computed, "patch_embedding")
    tell(TABLE, name, **in_words(kind))


def in_words(kind):
    """What a class adds, and when that runs."""
    cells = {
        "between blocks": (kind.between, "never on a reuse"),
        "within blocks": (kind.within, "on a reuse only in block 0, for FBCache"),
        "before block 0": (kind.encoders, "on a reuse only for FBCache"),
    }
    return {
        column: f"{', '.join(m.replace('patch.', 'the patch') for m in modules)}: {when}"
        if modules
        else "nothing of its own"
        for column, (modules, when) in cells.items()
    }


SHAPES = {
    "batch of 2": {"batch": 2},
    "no guidance": {"cfg": 1.0},
    "odd size": {"size": (3, 7, 9)},
    "one frame": {"size": (1, 8, 8)},
}


@pytest.mark.every_host
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_text_to_video_in_any_shape(caching, model, evaluated, traces, level, shape):
    results, at_one_point = evaluated(model, "FBCache", level, steps=2, **shape)
    caching.assert_reuse_is_exact(at_one_point(results), level)
    assert caching.actions(traces[0]) == "CR" * 3


WAYS = {"batch of 2": {"batch": 2}, "no guidance": {"cfg": 1.0}, "separately": {}}


@pytest.mark.matrix
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("way", WAYS)
def test_every_kind_in_any_way(
    wan, caching, kind, given, cached, evaluated, traces, run_separately, level, way
):
    if way == "batch of 2" and kind.one_row:
        pytest.skip("the host's own class takes one clip at a time")
    if way == "separately":
        run_separately(given.model)
    how = short(given, **WAYS[way])
    if "latent" in how and way == "batch of 2":
        how["latent"] = torch.cat([how["latent"]] * 2)
    plain = wan.sample(given.model, **how)
    assert torch.equal(plain, wan.sample(cached(given.model, "FBCache", level, False), **how))
    results, at_one_point = evaluated(given.model, "FBCache", level, **how)
    caching.assert_reuse_is_exact(at_one_point(results), level)
    assert traces[0].failsafes() == traces[1].failsafes() == {}


@pytest.mark.matrix
def test_animate_with_eyes_of_its_own(wan, caching, kinds, cached, evaluated):
    """The encoder of faces takes seconds for one of them, so elsewhere it is left out."""
    if kinds.ANIMATE.missing:
        pytest.skip(f"this ComfyUI lacks {kinds.ANIMATE.missing}")
    given = kinds.ANIMATE.given()
    plain = wan.sample(given.model, **short(given, steps=2))
    armed = cached(given.model, "FBCache", "hidden", reuses=False)
    assert torch.equal(plain, wan.sample(armed, **short(given, steps=2)))
    results, at_one_point = evaluated(given.model, "FBCache", "hidden", **short(given, steps=2))
    caching.assert_reuse_is_exact(at_one_point(results), "hidden")
