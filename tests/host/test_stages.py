"""Where samplers of several evaluations a step make them, proved by the host's own."""

from importlib import import_module
from itertools import pairwise

import pytest
import torch

SMALL = {"size": (1, 4, 4)}
WAYS = {"to the end": {}, "leaving noise": {"last_step": 5, "force_full_denoise": False}}


@pytest.fixture(scope="module")
def model(wan):
    return wan.random_wan(num_layers=1)


@pytest.fixture(scope="module")
def watching(host):
    return import_module("watching")


@pytest.fixture(scope="module")
def staged(host, part):
    """The samplers of this host that the pack knows to make several evaluations a step."""
    import comfy.samplers

    samplers = part("nodes.host.samplers")
    found = {name: comfy.samplers.sampler_object(name) for name in comfy.samplers.SAMPLER_NAMES}
    return {n: s for n, s in found.items() if samplers.sampler_name(s) in samplers.STAGES}


def assert_stages(part, sampler, sigmas, points):
    """The sampler evaluated just where it was expected to."""
    schedule = part("cache_core").Schedule.of(points)
    stages = part("nodes.host.samplers").stages_of(sampler, points)
    assert len(stages) == len(sigmas)
    course = part("cache_core.schedule").Course(schedule, stages)
    for evaluation, (sigma, stage) in enumerate(zip(sigmas, stages, strict=True)):
        assert course.locate(evaluation, sigma).step == stage.step
        if 0 < stage.ahead < 1:
            start, end = points[stage.step : stage.step + 2]
            assert end * (1 + 1e-5) < sigma < start
    assert course.stages == stages


@pytest.mark.every_host
@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
@pytest.mark.parametrize("scheduler", ["simple", pytest.param("beta", marks=pytest.mark.matrix)])
@pytest.mark.parametrize("steps", [7, pytest.param(20, marks=pytest.mark.matrix)])
def test_they_evaluate_where_they_are_said_to(
    wan, watching, model, part, staged, steps, scheduler, way
):
    assert len(staged) >= 10
    for name, sampler in staged.items():
        seen, sigmas, points = watching.evaluated_sigmas(model)
        wan.sample(seen, steps, sampler=name, scheduler=scheduler, **SMALL, **way)
        assert (points[-1] == 0) == (not way)
        assert_stages(part, sampler, sigmas, points)


NODES = {
    "SamplerSASolver": {
        "eta": 1.0, "sde_start_percent": 0.2, "sde_end_percent": 0.8, "s_noise": 1.0,
        "predictor_order": 3, "corrector_order": 4, "use_pece": True, "simple_order_2": False,
    },
    "SamplerSEEDS2": {"solver_type": "phi_2", "eta": 0.5, "s_noise": 1.0, "r": 0.8},
    "SamplerDPMPP_SDE": {"eta": 0.5, "s_noise": 1.0, "r": 0.3, "noise_device": "cpu"},
    "SamplerDPMPP_2S_Ancestral": {"eta": 0.3, "s_noise": 1.0},
}  # fmt: skip
"""Nodes that set options of samplers of several evaluations a step."""


@pytest.mark.every_host
@pytest.mark.parametrize(("name", "widgets"), NODES.items(), ids=list(NODES))
def test_options_of_a_sampler_are_seen(
    wan, caching, watching, model, part, traces, name, widgets
):
    """PECE is a switch of the SA solver: each of its points is evaluated twice."""
    node = getattr(import_module("comfy_extras.nodes_custom_sampler"), name)
    given = {"model": model, **widgets} if name == "SamplerSASolver" else widgets
    (sampler,) = node.execute(**given).args
    seen, sigmas, points = watching.evaluated_sigmas(model)
    plain = sampled(wan, seen, sampler)
    assert_stages(part, sampler, sigmas, points)
    assert len(sigmas) == 23
    assert torch.equal(plain, sampled(wan, caching.cached(model, 0.0), sampler))
    sampled(wan, caching.with_policies(model, caching.static("TeaCache")), sampler)
    assert traces[1].methods[0].plan == caching.actions(traces[1])
    assert traces[1].failsafes() == {}


def sampled(wan, model, sampler, steps=12):
    """Latents by a sampler of a node."""
    import comfy.sample

    latent, noise = wan.latent_and_noise(model, 0, 1, SMALL["size"])
    with torch.inference_mode():
        return comfy.sample.sample_custom(
            model, noise, 5.0, sampler, wan.schedule(model, steps), wan.conditioning(1),
            wan.conditioning(2), latent, disable_pbar=True, seed=0,
        )  # fmt: skip


def test_the_evaluation_that_repeats_a_noise_level_is_the_first_to_be_reused(
    wan, caching, model, traces
):
    """Heun's second one is at the end of its step, where the next step starts."""
    cached = caching.applied("TaylorSeer", model, widgets={"interval": 2}, warmup_steps=4)
    wan.sample(cached, 12, sampler="heun", **SMALL)
    cond = [record for record in traces[0].records if record.branch == "cond"]
    assert caching.actions(traces[0]) == "CC" * 4 + "RC" * 7 + "R"
    for before, record in pairwise(cond):
        if record.method:
            assert (record.sigma, record.step) == (before.sigma, before.step + 1)


@pytest.mark.parametrize("level", ["output", "hidden"])
@pytest.mark.parametrize(
    ("name", "other"), [("heun", "euler"), ("heunpp2", "euler"), ("seeds_3", "lcm")]
)
def test_several_evaluations_keep_no_more_than_one(
    wan, caching, model, traces, part, monkeypatch, name, other, level
):
    """Values are told apart by their noise level, whichever evaluation of a step made them."""
    memory = part("nodes.host.memory")
    known, footprint = [], memory.footprint
    keep = lambda *args: known.append(footprint(*args)) or known[-1]  # noqa: E731
    monkeypatch.setattr(memory, "footprint", keep)
    for sampler in (name, other):
        wan.sample(caching.cached(model, level=level, warmup_steps=4), 12, sampler=sampler, **SMALL)
    assert known[0] == known[1]
    assert traces[0].peak_bytes == traces[1].peak_bytes == known[0].total > 0


def test_one_that_nobody_knows_is_followed_by_its_noise_levels(wan, caching, model, traces):
    """A midpoint method of the user's own."""

    def midpoint(evaluate, x, sigmas):
        for now, after in pairwise(sigmas):
            middle = (now + after) / 2
            half = x + (x - evaluate(x, now)) / now * (middle - now)
            x = x + (half - evaluate(half, middle)) / middle * (after - now)
        return x

    static = caching.with_policies(model, caching.static("MagCache"), warmup_steps=2)
    wan.sample_with(midpoint, static, steps=12, **SMALL)
    assert caching.actions(traces[0]) == "CC" * 2 + "RR" * 10
    cond = [record for record in traces[0].records if record.branch == "cond"]
    assert [record.step for record in cond] == [i // 2 for i in range(24)]
    assert "if this sampler makes more" in traces[0].notes[0]
    assert traces[0].failsafes() == {}
