"""Step masks on the real host: whole samplings, halves, denoise, samplers, levels, methods."""

import pytest
import torch

STEPS = 20
MASK = "1110 0101 0001 0010 1001"
PLAN = MASK.replace(" ", "").replace("1", "C").replace("0", "R")
EVERY = ["FBCache", "TeaCache", "MagCache", "TaylorSeer", "AdaCache", "CustomCache", "EasyCache"]


@pytest.fixture
def made(caching, part):
    """A model with a method of this name under a mask; it reuses whatever it may."""

    def make(name, model, level="output", **options):
        wanted = {"step_mask": MASK, "on_few_steps": "allow", **options}
        if name == "FBCache":
            return caching.cached(model, 0.0, level, **wanted)
        if name in caching.STATIC:
            return caching.with_policies(model, caching.static(name), level=level, **wanted)
        wanted |= {"warmup_steps": None, "last_steps": None}
        return caching.applied(name, model, level=level, **wanted)

    return make


@pytest.fixture
def shifted(wan):
    """A tiny Wan with the shift of 5 that its workflows have."""
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    return ModelSamplingSD3().patch(wan.random_wan(), 5.0)[0]


@pytest.mark.parametrize("level", ["output", "hidden"])
@pytest.mark.parametrize("name", EVERY)
def test_a_mask_is_what_happens_with_every_method(wan, caching, made, model, traces, name, level):
    wan.sample(made(name, model, level), STEPS)
    (trace,) = traces
    assert caching.actions(trace) == caching.actions(trace, "uncond") == PLAN
    assert set(caching.reasons(trace)) == {"step mask"}
    assert {record.method for record in trace.records} == {None, name}
    assert (trace.errors, trace.failsafes(), trace.notes) == (0, {}, [])


def test_a_mask_of_ones_is_bit_identical(wan, made, model):
    cached = made("TeaCache", model, step_mask="1" * 8)
    assert torch.equal(wan.sample(cached), wan.sample(model))


@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate calls"])
@pytest.mark.parametrize("cfg_mode", ["cond", "separate", "all"])
def test_a_mask_holds_for_every_branch(
    wan, caching, made, model, traces, run_separately, cfg_mode, separately
):
    if separately:
        run_separately(model)
    for name in ("FBCache", "MagCache"):
        wan.sample(made(name, model, cfg_mode=cfg_mode), STEPS)
        trace = traces.pop()
        assert caching.actions(trace) == caching.actions(trace, "uncond") == PLAN


def halves(wan, model, split, scheduler="simple"):
    """KSampler (Advanced) twice."""
    shared = {"scheduler": scheduler, "size": (1, 8, 8)}
    half = wan.sample(model, STEPS, start_step=0, last_step=split, **shared)
    wan.sample(
        model, STEPS, latent=half, start_step=split, last_step=STEPS,
        disable_noise=True, force_full_denoise=True, **shared,
    )  # fmt: skip


def after_a_switch(plan):
    """The first step of a run is computed whatever is asked."""
    return "C" + plan[1:]


@pytest.mark.every_host
@pytest.mark.parametrize("scheduler", ["simple", "sgm_uniform"])
@pytest.mark.parametrize("split", [4, 10, 13])
def test_halves_take_their_part_of_the_mask(wan, caching, made, shifted, traces, split, scheduler):
    halves(wan, made("TeaCache", shifted), split, scheduler)
    expected = [PLAN[:split], after_a_switch(PLAN[split:])]
    assert [caching.actions(trace) for trace in traces] == expected
    assert [trace.methods[0].plan for trace in traces] == expected
    assert f"steps 1 to {split} of 20" in traces[0].notes[0]
    assert f"steps {split + 1} to 20 of 20" in traces[1].notes[0]


def test_ranges_are_steps_of_the_whole_schedule_too(wan, caching, made, shifted, traces):
    halves(wan, made("TeaCache", shifted, step_mask="1-3, 9-10, 15"), 10)
    assert [caching.actions(trace) for trace in traces] == ["CCCRRRRRCC", "CRRRCRRRRR"]


def test_where_beta_is_even_enough_the_mask_is_followed(wan, caching, made, shifted, traces):
    """It is symmetric: in the middle the estimate of the whole is right."""
    halves(wan, made("TeaCache", shifted), 10, "beta")
    expected = [PLAN[:10], after_a_switch(PLAN[10:])]
    assert [caching.actions(trace) for trace in traces] == expected


def test_where_the_whole_is_not_known_all_is_computed_and_said(
    wan, caching, made, shifted, traces, caplog
):
    with caplog.at_level("INFO"):
        halves(wan, made("TeaCache", shifted), 8, "beta")
    assert [caching.actions(trace) for trace in traces] == ["C" * 8, "C" * 12]
    for trace, steps in zip(traces, ("8 of about 22 steps", "12 of about 19 steps"), strict=True):
        (note,) = trace.notes
        assert "20 letters" in note and steps in note
        assert note in caplog.text


def test_ranges_are_not_guessed_where_steps_are_uneven(wan, caching, made, shifted, traces):
    halves(wan, made("TeaCache", shifted, step_mask="1-3, 15"), 8, "beta")
    assert [caching.actions(trace) for trace in traces] == ["C" * 8, "C" * 12]
    assert all("everything is computed" in trace.notes[0] for trace in traces)
    wan.sample(made("TeaCache", shifted, step_mask="1-3, 15"), STEPS, scheduler="beta")
    assert caching.actions(traces[2]) == "CCC" + "R" * 11 + "C" + "R" * 5


def test_a_mask_as_long_as_the_half_is_taken_for_it(wan, caching, made, shifted, traces):
    halves(wan, made("TeaCache", shifted, step_mask="11010011"), 8, "beta")
    assert caching.actions(traces[0]) == "CCRCRRCC"
    assert caching.actions(traces[1]) == "C" * 12


@pytest.mark.parametrize(("steps", "denoise"), [(10, 0.5), (5, 0.25), (16, 0.8)])
def test_denoise_samples_the_end_of_the_schedule(
    wan, caching, made, shifted, traces, steps, denoise
):
    wan.sample(made("TeaCache", shifted), steps, denoise=denoise, size=(1, 8, 8))
    assert caching.actions(traces[0]) == after_a_switch(PLAN[-steps:])


@pytest.mark.parametrize("sampler", ["heun", "uni_pc", "dpmpp_2m", "lcm"])
def test_samplers_of_every_kind_follow_it(wan, caching, made, model, traces, sampler):
    """All evaluations of a step do what the mask says of it."""
    wan.sample(made("FBCache", model), STEPS, sampler=sampler, size=(1, 8, 8))
    assert traces[0].errors == 0
    for record in traces[0].records:
        letter = {"compute": "C", "reuse": "R"}[record.action.value]
        assert letter == PLAN[record.step]
