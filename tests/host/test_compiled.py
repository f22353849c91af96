"""torch.compile, of the whole model and of single blocks: what is reused, and what says why not."""

from importlib import import_module

import pytest
import torch

SEEING_NO_BLOCKS = ("TaylorSeer", "CustomCache", "EasyCache")
SKIPS = {"max_consecutive_skips": 1}


@pytest.fixture(scope="module")
def others(pack):
    """Other nodes on the model: ``tests/support/neighbours.py``."""
    return import_module("neighbours")


@pytest.fixture
def compiling_afresh():
    """What was compiled for other tests is forgotten: torch gives up on code compiled too often."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture(scope="module")
def watching(host):
    """Counts by evaluation: ``tests/support/watching.py``."""
    return import_module("watching")


@pytest.fixture(scope="module")
def small(wan):
    """A Wan of two blocks: compiling takes its time."""
    return wan.random_wan(num_layers=2)


@pytest.fixture(scope="module")
def graphs(others):
    """The backend of ``whole``."""
    return others.Graphs()


@pytest.fixture(scope="module")
def whole(others, small, graphs):
    """The model, compiled whole."""
    return others.compiled(small, graphs)


@pytest.fixture(scope="module")
def plain(wan, small):
    """What the model makes of noise without any of it."""
    return wan.sample(small)


@pytest.fixture(params=["behind", "before"])
def with_cache(request, others, small, whole, graphs):
    """``with_cache(apply)``: the Apply node behind or before TorchCompileModel."""
    behind = request.param == "behind"
    return lambda put: put(whole) if behind else others.compiled(put(small), graphs)


def test_a_whole_model_that_never_reuses_is_the_same_to_the_bit(
    wan, caching, plain, whole, with_cache, traces
):
    assert torch.equal(plain, wan.sample(whole))
    never = with_cache(lambda model: caching.with_policies(model, caching.static("TeaCache", 0.0)))
    assert torch.equal(plain, wan.sample(never))
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == "C" * 8


@pytest.mark.parametrize("name", SEEING_NO_BLOCKS)
def test_a_whole_model_is_reused_as_one_that_is_not_compiled(
    wan, caching, small, with_cache, traces, tell, name
):
    expected = wan.sample(caching.applied(name, small, **SKIPS))
    cached = with_cache(lambda model: caching.applied(name, model, **SKIPS))
    assert torch.equal(expected, wan.sample(cached))
    bare, compiled = traces
    assert [caching.reasons(t) for t in traces] == [caching.reasons(bare)] * 2
    assert caching.actions(compiled).count("R") == 3
    assert compiled.failsafes() == {} and compiled.notes == bare.notes
    tell("Neighbours", "torch.compile, whole model", **{name: "reuses"})


def test_nothing_of_a_reused_step_runs_and_nothing_is_compiled_anew(
    wan, caching, watching, small, others, graphs
):
    model, ran = watching.watched(others.compiled(small, graphs), lambda: graphs.ran)
    cached = caching.with_policies(model, caching.static("TeaCache"), **SKIPS)
    wan.sample(cached)
    known = graphs.compiled
    wan.sample(cached)
    assert [bool(count) for count in ran] == [True, False] * 8
    assert graphs.compiled == known


@pytest.mark.matrix
def test_a_whole_model_reuses_what_it_computed_at_the_same_point(
    wan, caching, watching, whole, traces
):
    cached = caching.with_policies(whole, caching.static("TeaCache"), **SKIPS)
    results = watching.evaluated_thrice(wan, cached, steps=5)
    pairs = watching.reused_where_computed(results, caching.evaluations(traces[0]))
    assert len(pairs) > 2
    caching.assert_reuse_is_exact(pairs, "output")


@pytest.mark.parametrize("name", ["FBCache", "AdaCache"])
def test_a_method_that_looks_at_blocks_computes_and_says_what_to_do(
    wan, caching, plain, with_cache, traces, tell, caplog, name
):
    def put(model):
        return caching.cached(model) if name == "FBCache" else caching.applied(name, model)

    assert torch.equal(plain, wan.sample(with_cache(put)))
    assert caching.reasons(traces[0]) == ["model compiled whole"] * 8
    (note,) = traces[0].notes
    assert f"which {name} decides by: compile its blocks one by one instead" in note
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        f"Wan Step Cache: {note}"
    ]
    assert traces[0].failsafes() == {}
    tell("Neighbours", "torch.compile, whole model", **{name: "computes, says why"})


def test_the_other_methods_of_a_chain_go_on(wan, caching, part, whole, small, traces):
    fbcache = part("cache_core").FBCache(1.0)
    alone = caching.with_policies(small, caching.static("TeaCache"), **SKIPS)
    chain = caching.with_policies(whole, fbcache, caching.static("TeaCache"), **SKIPS)
    assert torch.equal(wan.sample(alone), wan.sample(chain))
    assert traces[1].failsafes() == {} and "FBCache decides by" in traces[1].notes[0]
    assert {record.method for record in traces[1].records} == {None, "TeaCache"}


def test_what_was_to_be_kept_of_blocks_is_kept_of_the_output(wan, caching, whole, small, traces):
    wish = {**SKIPS, "correction": "off"}
    expected = wan.sample(caching.applied("TaylorSeer", small, **wish))
    hidden = caching.applied("TaylorSeer", whole, level="hidden", **wish)
    assert torch.equal(expected, wan.sample(hidden))
    assert traces[1].level == "output" and "set cache_level to output" in traces[1].notes[0]
    assert traces[1].peak_bytes == traces[0].peak_bytes


@pytest.mark.matrix
def test_cfg_cache_leaves_out_uncond_of_a_whole_model(wan, caching, part, watching, whole, small):
    node = part("nodes.cfgcache").ApplyCFGCache

    def cached(model):
        seen, calls = caching.seeing(model)
        widgets = {"preset": "custom", "interval": 3}
        return watching.execute(node, model=seen, **widgets)[0], calls

    (bare, expected), (compiled, _) = cached(small), cached(whole)
    assert torch.equal(wan.sample(bare, steps=12), wan.sample(compiled, steps=12))
    assert any(1 not in call.branches for call in expected)


@pytest.mark.matrix
@pytest.mark.usefixtures("compiling_afresh")
def test_a_whole_model_is_not_calibrated_and_says_so(wan, part, watching, plain, whole, caplog):
    caplog.set_level("INFO")
    node = part("nodes.calibrate").MagCacheCalibrate
    measured = watching.execute(node, model=whole, name="compiled")[0]
    assert torch.equal(plain, wan.sample(measured))
    assert "nothing was written: its model was never called as expected (compiled" in caplog.text


def test_a_model_that_is_interrupted_keeps_no_hook(wan, caching, whole, small):
    def interrupt(args, extra):
        raise KeyboardInterrupt

    cached = caching.with_policies(whole, caching.static("TeaCache"))
    cached.set_model_patch_replace(interrupt, "dit", "double_block", 1)
    with pytest.raises(KeyboardInterrupt):
        wan.sample(cached)
    (seam,) = cached.wrappers["apply_model"]["torch.compile"][0].__closure__
    (module,) = seam.cell_contents.values()
    assert not module._forward_hooks and not module._forward_pre_hooks
    assert wan.sample(small).isfinite().all()


def test_a_model_compiled_as_an_object_patch_is_reused_too(wan, caching, small, graphs, traces):
    """As ComfyUI did it before it had wrappers; here the node comes behind it."""
    patched = small.clone()
    module = torch.compile(small.get_model_object("diffusion_model"), backend=graphs)
    patched.add_object_patch("diffusion_model", module)
    expected = wan.sample(caching.applied("TaylorSeer", small, **SKIPS))
    assert torch.equal(expected, wan.sample(caching.applied("TaylorSeer", patched, **SKIPS)))
    assert caching.actions(traces[1]) == caching.actions(traces[0])


@pytest.mark.usefixtures("compiling_afresh")
@pytest.mark.parametrize("level", ["output", pytest.param("hidden", marks=pytest.mark.matrix)])
def test_compiled_blocks_are_reused_as_others_are(
    wan, caching, others, watching, small, traces, tell, level
):
    backend = others.Graphs()
    by_blocks, ran = watching.watched(others.by_blocks(small, backend), lambda: backend.ran)
    bare = caching.cached(small, level=level, max_consecutive_skips=1)
    expected = wan.sample(bare)
    assert torch.equal(wan.sample(caching.cached(by_blocks, 0.0, level)), wan.sample(small))
    del ran[:]
    cached = caching.cached(by_blocks, level=level, max_consecutive_skips=1)
    assert torch.equal(expected, wan.sample(cached))
    computed, reused = ran[:2]
    assert ran == [computed, reused] * 4 and computed == 2 * reused > 0  # block 0 alone
    tell("Neighbours", "torch.compile, block by block", FBCache="reuses")
