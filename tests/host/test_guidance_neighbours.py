"""Other ways of guidance on the same model: passes of their own, formulas of their own."""

from importlib import import_module

import pytest
import torch
from turns import LEVELS, MATRIX, METHODS, in_turn

EXTRA = (
    "SkipLayerGuidanceDiT", "SkipLayerGuidanceDiT, rescaled", "PerturbedAttentionGuidance",
    "PerpNeg",
)  # fmt: skip
FORMULAS = (
    "CFGZeroStar", "CFGNorm", "CFGNorm, before CFG", "TCFG", "APG", "APG, with momentum", "Mahiro",
    "FreSca", "EpsilonScaling", "TemporalScoreRescaling", "RescaleCFG", "VideoLinearCFGGuidance",
    "VideoTriangleCFGGuidance", "LatentApplyOperationCFG",
)  # fmt: skip


@pytest.fixture
def nodes(host):
    return import_module("guidance_nodes")


def test_no_node_is_left_out(nodes):
    assert (tuple(nodes.EXTRA), tuple(nodes.FORMULAS)) == (EXTRA, FORMULAS)


@pytest.mark.parametrize("name, level, method", in_turn(EXTRA))
def test_a_pass_of_its_own_is_reused_too(
    wan, model, nodes, passes, traces, name, level, method, tell
):
    patched = nodes.patched(model, name)
    assert not torch.equal(wan.sample(model, 4), wan.sample(patched, 4))
    seen = passes.assert_composes(patched, method, level)
    assert seen.computed == [3, 0] * 3
    assert traces[-1].failsafes() == {} and traces[-1].notes == []
    tell("Neighbours", name, result="identical", reuse="yes, the extra pass too")


@pytest.mark.parametrize("name, level, method", in_turn(FORMULAS, always=1))
def test_a_formula_of_its_own_composes(
    wan, model, nodes, passes, traces, name, level, method, tell
):
    patched = nodes.patched(model, name)
    assert not torch.equal(wan.sample(model, 4), wan.sample(patched, 4))
    seen = passes.assert_composes(patched, method, level)
    assert seen.computed == [2, 0] * 3
    assert traces[-1].failsafes() == {} and traces[-1].notes == []
    tell("Neighbours", name, result="identical", reuse="yes")


@MATRIX
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "method",
    ["FBCache", "TeaCache", "MagCache", "TaylorSeer", "AdaCache", "CustomCache", "EasyCache"],
)
def test_every_method_reuses_the_pass_of_skip_layer_guidance(
    wan, model, nodes, passes, caching, traces, level, method
):
    patched = nodes.patched(model, "SkipLayerGuidanceDiT")
    with passes.followed(patched) as (clone, seen):
        wan.sample(caching.with_method(method, clone, level), 12)
    passes.assert_reused_rows_are_their_own(seen, same=False)
    guiding = [row for row in seen.rows if row.whose[4]]
    assert len(guiding) == 12
    assert 0 < sum(row.computed for row in guiding) < 12
    assert traces[0].failsafes() == {}


@pytest.mark.parametrize("method", METHODS)
def test_skip_layer_guidance_for_a_part_of_the_run(
    wan, model, passes, part, traces, method
):
    """Its pass starts computed, ends, and takes no room after it."""
    from comfy.patcher_extension import WrappersMP
    from comfy_extras.nodes_slg import SkipLayerGuidanceDiT

    (patched,) = SkipLayerGuidanceDiT.execute(
        model=model, scale=3.0, start_percent=0.2, end_percent=0.6, double_layers="2",
        single_layers="",
    ).args  # fmt: skip
    held = []

    def look(executor, *args, **kwargs):
        held.append(part("nodes.host.keys").run_of(args[5]).store.nbytes)
        return executor(*args, **kwargs)

    with passes.followed(patched) as (clone, seen):
        cached = passes.holding(method, clone, "output", max_consecutive_skips=2)
        cached.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "held", look)
        wan.sample(cached, 16)
    passes.assert_reused_rows_are_their_own(seen)
    guiding = [[row for row in seen.of(e) if row.whose[4]] for e in range(16)]
    first = next(e for e, rows in enumerate(guiding) if rows)
    assert first > 0 and not guiding[-1]
    assert seen.computed[first] == 1
    assert 1 < sum(row.computed for rows in guiding for row in rows) < sum(map(bool, guiding))
    assert traces[0].failsafes() == {} and traces[0].notes == []
    assert held[0] == 0 and held[-1] == 2 / 3 * max(held)


def test_a_pass_without_block_0_says_why_a_method_that_looks_at_it_computes(
    wan, model, nodes, passes, traces, tell
):
    from comfy_extras.nodes_slg import SkipLayerGuidanceDiT

    (patched,) = SkipLayerGuidanceDiT.execute(
        model=model, scale=3.0, start_percent=0.0, end_percent=1.0, double_layers="0",
        single_layers="",
    ).args  # fmt: skip
    found = {}
    for method in METHODS:
        with passes.followed(patched) as (clone, seen):
            wan.sample(passes.holding(method, clone, "output"), 6)
        found[method] = seen.computed
    assert found == {"FBCache": [3, 1] * 3, "TeaCache": [3, 0] * 3}
    assert traces[0].failsafes() == {"metric not finite": 5}
    tell("Neighbours", "SkipLayerGuidanceDiT of block 0", reuse="static methods; FBCache says why")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("method", METHODS)
def test_branches_that_run_one_by_one(model, nodes, passes, traces, level, method, tell):
    seen = passes.assert_composes(nodes.one_by_one(model), method, level)
    assert seen.computed == [2, 0] * 3
    assert traces[-1].failsafes() == {}
    tell("Neighbours", "SkipLayerGuidanceDiTSimple", result="identical", reuse="yes")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("method", METHODS)
def test_a_guider_of_three_branches(nodes, model, passes, traces, level, method, tell):
    def sample(cached):
        return nodes.sample_guider(nodes.perp_neg_guider(cached))

    never = passes.holding(method, model, level, reuses=False)
    assert torch.equal(sample(model), sample(never))
    with passes.followed(model) as (clone, seen):
        sample(passes.holding(method, clone, level))
    passes.assert_reused_rows_are_their_own(seen, same=level == "output")
    assert seen.computed == [3, 0] * 3
    assert list(traces[-1].counts()) == ["cond", "cond 3", "uncond"]
    tell("Neighbours", "PerpNegGuider", result="identical", reuse="yes")


CUSTOM = {
    "CFG function that writes into its inputs": lambda nodes, model: nodes.cfg_by_hand(model),
    "model function wrapper": lambda nodes, model: nodes.halved_input(model),
    "model function wrapper, branches one by one": (
        lambda nodes, model: nodes.row_by_row(model, announced=True)
    ),
}


@pytest.mark.parametrize("kind, level, method", in_turn(CUSTOM))
def test_functions_of_other_packs(model, nodes, passes, traces, kind, level, method, tell):
    seen = passes.assert_composes(CUSTOM[kind](nodes, model), method, level)
    assert seen.computed == [2, 0] * 3
    assert traces[-1].failsafes() == {} and traces[-1].notes == []
    tell("Neighbours", f"Other packs: {kind}", result="identical", reuse="yes")


@pytest.mark.parametrize(
    "level, method, rows",
    [("output", "FBCache", [2, 0, 2]), ("hidden", "TeaCache", [0, 2, 0])],
)
def test_a_pass_before_both_branches_is_none_of_them(
    wan, model, nodes, passes, level, method, rows, tell
):
    """When it ends, what it kept must not become theirs: its conditions are the same. A method
    that measures has measured it, and starts anew.
    """
    sigmas = wan.schedule(model, 8)
    patched = nodes.calls_first(model, until=float(sigmas[4] + sigmas[5]) / 2)
    seen = passes.assert_composes(patched, method, level, 8)
    assert seen.computed == [3, 0, 3, 0, 3, *rows]
    name = "calc_cond_batch function with a pass of its own"
    tell("Neighbours", f"Other packs: {name}", result="identical", reuse="yes")


@pytest.mark.parametrize("level", LEVELS)
def test_rows_that_nobody_announced_are_computed_and_it_says_so(
    wan, model, nodes, passes, traces, level, tell
):
    patched = nodes.row_by_row(model, announced=False)
    cached = passes.holding("FBCache", patched, level)
    assert torch.equal(wan.sample(patched), wan.sample(cached))
    assert traces[0].records == []
    assert ["those calls are computed" in note for note in traces[0].notes] == [True]
    name = "model function wrapper, rows not announced"
    tell("Neighbours", f"Other packs: {name}", result="identical", reuse="no, and says so")


@pytest.mark.parametrize("method", METHODS)
def test_patches_made_anew_are_told_by_what_they_are_made_of(
    wan, model, nodes, passes, traces, method, tell
):
    patched = nodes.patches_anew(model)
    with passes.followed(patched) as (clone, seen):
        for steps in (8, 24):
            wan.sample(passes.holding(method, clone, "hidden"), steps)
    assert seen.computed == [3, 1] + [3, 0] * 3 + [3, 1] + [3, 0] * 11
    short, long = traces
    assert short.peak_bytes == long.peak_bytes
    assert short.notes == long.notes == []
    name = "a pass with patches made anew"
    tell("Neighbours", f"Other packs: {name}", result="identical", reuse="yes, once it is known")


class TestCFGCache:
    """CFG Cache beside all of them: uncond is left out wherever it can be told from cond."""

    @pytest.mark.parametrize("name", FORMULAS)
    def test_formulas(self, model, nodes, guiding, traces, name, tell):
        seen = guiding.assert_uncond_is_made_of_cond(nodes.patched(model, name))
        assert seen.computed == [2, 1, 1] * 2 + [2]
        assert traces[0].failsafes() == {} and traces[0].notes == []
        tell("Neighbours", name, cfg_cache="yes")

    @pytest.mark.parametrize("name", EXTRA)
    def test_passes_of_their_own(self, model, nodes, guiding, traces, name, tell):
        seen = guiding.assert_uncond_is_made_of_cond(nodes.patched(model, name))
        assert seen.computed == [3, 2, 2] * 2 + [3]
        assert traces[0].failsafes() == {} and traces[0].notes == []
        tell("Neighbours", name, cfg_cache="yes")

    def test_a_pass_that_is_reused_with_the_rest(
        self, wan, model, nodes, guiding, passes, caching, traces
    ):
        options = {"max_consecutive_skips": 1, "forecast": "hold"}
        patched = nodes.patched(model, "SkipLayerGuidanceDiT")
        with passes.followed(patched) as (clone, seen):
            reusing = passes.holding("TeaCache", clone, "output")
            wan.sample(guiding.guided(reusing, 3, **options), 12)
        passes.assert_reused_rows_are_their_own(seen)
        assert seen.computed == [3, 0, 2, 0, 2, 0, 3, 0, 2, 0, 2, 0]
        assert traces[0].failsafes() == {}

    def test_branches_that_run_one_by_one(self, wan, model, nodes, guiding, passes, traces, tell):
        patched = nodes.one_by_one(model, start=0.3, end=0.7)
        with passes.followed(patched) as (clone, seen):
            told = guiding.branches_told(clone, seen)
            wan.sample(guiding.guided(clone, 3, forecast="hold"), 12)
        alone = [any(row.whose[4] for row in seen.of(e)) for e in range(12)]
        first, after = alone.index(True), 12 - alone[::-1].index(True)
        assert 0 < first < after < 12
        assert [seen.computed[e] for e in range(first, after)] == [2] * (after - first)
        assert told[first].ran and told[first].evaluation == after
        assert 1 in seen.computed[:first] and 1 in seen.computed[after:]
        assert ["one by one" in note for note in traces[0].notes] == [True]
        told = "where both run together, says so"
        tell("Neighbours", "SkipLayerGuidanceDiTSimple", cfg_cache=told)

    def test_a_guider_of_three_branches(self, nodes, model, guiding, traces, tell):
        plain = nodes.sample_guider(nodes.perp_neg_guider(model))
        found = nodes.sample_guider(nodes.perp_neg_guider(guiding.guided(model)))
        assert torch.equal(plain, found)
        assert ["a guider of its own" in note for note in traces[0].notes] == [True]
        tell("Neighbours", "PerpNegGuider", cfg_cache="no, and says so")

    @pytest.mark.parametrize("kind", CUSTOM)
    def test_functions_of_other_packs(self, model, nodes, guiding, kind, tell):
        seen = guiding.assert_uncond_is_made_of_cond(CUSTOM[kind](nodes, model))
        assert seen.computed == [2, 1, 1] * 2 + [2]
        tell("Neighbours", f"Other packs: {kind}", cfg_cache="yes")

    def test_a_pass_before_both_branches(self, wan, model, nodes, guiding, tell):
        sigmas = wan.schedule(model, 7)
        patched = nodes.calls_first(model, until=float(sigmas[2] + sigmas[3]) / 2)
        seen = guiding.assert_uncond_is_made_of_cond(patched)
        assert seen.computed == [3, 2, 2, 2, 1, 1, 2]
        name = "calc_cond_batch function with a pass of its own"
        tell("Neighbours", f"Other packs: {name}", cfg_cache="yes")
