"""Prompts for parts of the picture: by area, by mask, of several shapes, in one evaluation."""

import pytest
import torch
from turns import LEVELS, MATRIX, in_turn

KINDS = {
    "two prompts": ("combined", 3),
    "prompts of different length": ("unlike", 3),
    "halves by area": ("halves", 5),
    "one area alone": ("alone", 3),
    "an area within the picture": ("inset", 4),
    "areas that overlap": ("crossing", 7),
    "halves by mask": ("masked", 3),
}
"""By kind: the conditions, and the rows of one evaluation; the host gives the negative prompt a
copy of every area."""


@pytest.mark.parametrize("kind, level, method", in_turn(KINDS))
def test_regions_keep_to_themselves(model, passes, prompts, traces, kind, level, method, tell):
    name, rows = KINDS[kind]
    prompt = getattr(prompts, name)()
    seen = passes.assert_composes(model, method, level, positive=prompt)
    assert seen.computed == [rows, 0] * 3
    assert traces[-1].failsafes() == {}
    tell("Neighbours", f"Regional prompts: {kind}", result="identical", reuse="yes")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["halves by area", pytest.param("two prompts", marks=MATRIX)])
def test_regions_that_run_one_by_one(model, passes, prompts, run_separately, kind, level):
    run_separately(model)
    name, rows = KINDS[kind]
    seen = passes.assert_composes(model, "TeaCache", level, positive=getattr(prompts, name)())
    assert seen.computed == [rows, 0] * 3


@pytest.mark.every_host
def test_the_bounds_of_a_mask_as_an_area_are_the_hosts_own_affair(
    wan, passes, prompts, model, traces, tell
):
    """The host's way from a mask to its bounds knows pictures, no videos."""
    prompt = prompts.masked(bounds=True)
    told = []
    for tried in (model, passes.holding("FBCache", model, "output", reuses=False)):
        try:
            told.append(wan.sample(tried, 4, positive=prompt))
        except ValueError as error:
            told.append(str(error))
    without, with_cache = told
    if isinstance(without, str):
        assert with_cache == without
        tell("Neighbours", "Regional prompts: bounds of a mask", result="ComfyUI fails on videos")
    else:
        assert torch.equal(without, with_cache)
        tell("Neighbours", "Regional prompts: bounds of a mask", result="identical")


@pytest.mark.parametrize("kind", KINDS)
def test_cfg_cache_leaves_out_every_region_of_uncond(model, prompts, guiding, traces, kind, tell):
    name, rows = KINDS[kind]
    prompt = getattr(prompts, name)()
    seen = guiding.assert_uncond_is_made_of_cond(model, positive=prompt)
    assert seen.computed == [rows, len(prompt), len(prompt)] * 2 + [rows]
    assert traces[0].failsafes() == {}
    tell("Neighbours", f"Regional prompts: {kind}", cfg_cache="yes")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate"])
def test_differences_of_regions_are_learnt_beside_corrections(
    wan, caching, model, prompts, guiding, traces, run_separately, kind, separately
):
    """A branch of several rows has no one correction, and a region's has another shape."""
    if separately:
        run_separately(model)
    chosen = {"max_consecutive_skips": 2, "warmup_steps": 2}
    reusing = caching.with_policies(model, caching.static("MagCache"), **chosen)
    prompt = getattr(prompts, KINDS[kind][0])()
    wan.sample(guiding.guided(reusing, 2, **chosen), 12, positive=prompt)
    assert traces[0].failsafes() == {}
    assert "guidance difference" in caching.reasons(traces[0], "uncond")
    assert caching.actions(traces[0]).count("R") > 4
