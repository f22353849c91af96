"""Prompts that appear, vanish or take over during the run."""

from itertools import product

import pytest
import torch
from turns import in_turn

STEPS = 8

KINDS = {
    "one takes over": ({"end_percent": 0.45}, {"start_percent": 0.45}, {}),
    "one takes over at a step": ({"end_percent": 0.5}, {"start_percent": 0.5}, {}),
    "one appears": ({}, {"start_percent": 0.4}, {}),
    "one vanishes": ({}, {"end_percent": 0.6}, {}),
    "they overlap": ({"end_percent": 0.7}, {"start_percent": 0.3}, {}),
    "the negative appears": ({}, None, {"start_percent": 0.3}),
    "the negative vanishes": ({}, None, {"end_percent": 0.6}),
}
"""By kind: when two prompts hold, and the negative one."""


def scheduled(prompts, kind):
    """The conditions of a kind."""
    first, second, negative = KINDS[kind]
    positive = prompts.prompt(1, **first)
    positive += [] if second is None else prompts.prompt(3, **second)
    return {"positive": positive, "negative": prompts.prompt(2, **negative)}


@pytest.mark.parametrize("kind, level, method", in_turn(KINDS))
def test_a_prompt_begins_with_what_it_has_computed_itself(
    model, passes, prompts, traces, kind, level, method, tell
):
    seen = passes.assert_composes(model, method, level, STEPS, **scheduled(prompts, kind))
    assert seen.computed[1] == 0
    assert seen.computed.count(0) >= STEPS // 2 - 1
    assert traces[-1].failsafes().keys() <= {"no history", "changed input"}
    tell("Neighbours", f"Prompts with time ranges: {kind}", result="identical", reuse="yes")


@pytest.mark.parametrize("kind", KINDS)
def test_cfg_cache_keeps_a_difference_while_the_same_prompts_hold(
    wan, model, passes, prompts, guiding, kind, tell
):
    with passes.followed(model) as (clone, seen):
        told = guiding.branches_told(clone, seen)
        wan.sample(guiding.guided(clone, 3, forecast="hold"), 12, **scheduled(prompts, kind))
    held = [{row.whose[0] for row in seen.of(e) if row.whose[1] == 0} for e in range(12)]
    gone = [not one.uncond.any() for one in told]
    assert not any(one.ran and none for one, none in zip(told, gone, strict=True))
    assert any(gone) == kind.startswith("the negative")
    changes = [e for e in range(1, 12) if held[e] != held[e - 1] or gone[e] < gone[e - 1]]
    assert all(told[e].ran for e in changes)
    assert sum(not one.ran and not none for one, none in zip(told, gone, strict=True)) >= 3
    tell("Neighbours", f"Prompts with time ranges: {kind}", cfg_cache="yes")


@pytest.mark.every_host
@pytest.mark.parametrize("shift", [1.0, 8.0])
def test_a_time_range_holds_for_the_pack_where_it_holds_for_the_host(
    wan, model, part, shift
):
    import comfy.samplers
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    (shifted,) = ModelSamplingSD3().patch(model, shift)
    sampling = shifted.get_model_object("model_sampling")
    in_force_at = part("nodes.host.conditions").in_force_at
    latent, told = torch.zeros(1, 16, 1, 2, 2), set()
    sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", 10)[:-1]
    bounds = [sampling.percent_to_sigma(tenth / 10) for tenth in range(11)]
    for sigma, bound in product(sigmas, bounds):
        for name in ("timestep_start", "timestep_end"):
            one = {"uuid": 1, "model_conds": {}, name: bound}
            runs = comfy.samplers.get_area_and_mult(one, latent, sigma[None]) is not None
            assert bool(in_force_at(float(sigma), [one])) == runs
            told.add(runs)
    assert told == {True, False}
