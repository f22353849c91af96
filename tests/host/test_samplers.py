"""Every sampler and every scheduler of the host: followed, cached, and by which values."""

import pytest
import torch

ONCE, TWICE, THRICE = "1 a step", "2 a step", "3 a step"
OWN, ADAPTIVE = "steps of its own", "as many as it likes"
SAMPLERS = {
    **dict.fromkeys(
        (
            *("euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "lms", "ddpm"),
            *("dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "er_sde", "lcm"),
            *("dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu"),
            *("ipndm", "ipndm_v", "deis", "res_multistep", "res_multistep_cfg_pp", "sa_solver"),
            *("res_multistep_ancestral", "res_multistep_ancestral_cfg_pp", "ddim", "uni_pc"),
            *("gradient_estimation", "gradient_estimation_cfg_pp", "uni_pc_bh2"),
        ),
        ONCE,
    ),
    **dict.fromkeys(
        (
            *("heun", "exp_heun_2_x0", "exp_heun_2_x0_sde", "sa_solver_pece", "dpm_2", "seeds_2"),
            *("dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp"),
            *("dpmpp_sde", "dpmpp_sde_gpu"),
        ),
        TWICE,
    ),
    "seeds_3": THRICE,
    "heunpp2": THRICE,
    "dpm_fast": OWN,
    "dpm_adaptive": ADAPTIVE,
}
"""How often they evaluate the model."""

CACHED = {
    ONCE: "each step",
    TWICE: "each evaluation, counted into its step",
    THRICE: "each evaluation, counted into its step",
    OWN: "each evaluation, by its noise level",
    ADAPTIVE: "computed whole: it compares results",
}
CANNOT = {"ar_video": "for autoregressive models alone"}
SMALL = {"size": (1, 4, 4)}


def evaluations(name, steps):
    """How many a schedule of ``steps`` steps takes that ends at sigma 0, None if nobody knows."""
    if SAMPLERS[name] == ADAPTIVE:
        return None
    each = {ONCE: 1, OWN: 1, TWICE: 2, THRICE: 3}[SAMPLERS[name]]
    fewer_at_the_end = 3 if name == "heunpp2" else each - 1
    return each * steps - fewer_at_the_end


@pytest.fixture(scope="module")
def model(wan):
    return wan.random_wan(num_layers=2)


@pytest.fixture
def known(host):
    """Skips a sampler or scheduler that this host does not have yet."""
    import comfy.samplers

    def there(name):
        if name not in (*comfy.samplers.SAMPLER_NAMES, *comfy.samplers.SCHEDULER_NAMES):
            pytest.skip(f"this host has no {name}")

    return there


@pytest.mark.every_host
def test_none_is_left_out(host):
    import comfy.samplers

    names = {*comfy.samplers.KSampler.SAMPLERS, *comfy.samplers.SAMPLER_NAMES}
    assert names <= {*SAMPLERS, *CANNOT}
    assert set(comfy.samplers.KSampler.SCHEDULERS) <= set(SCHEDULERS)


def held(wan, caching, model, traces, **how):
    """Sampled with a static method that holds values: what is reused is the newest computed."""
    outer, outside = caching.seeing(model)
    guards = {"warmup_steps": 2, "max_consecutive_skips": 2, "forecast": "hold"}
    static = caching.with_policies(outer, caching.static("TeaCache"), **guards)
    inner, inside = caching.seeing(static)
    latents = wan.sample(inner, **how)
    for branch, label in enumerate(("cond", "uncond")):
        computed, newest = iter(caching.of_branch(inside, branch)), None
        got = caching.of_branch(outside, branch)
        for letter, output in zip(caching.actions(traces[-1], label), got, strict=True):
            newest = next(computed) if letter == "C" else newest
            assert torch.equal(output, newest)
    return latents


def follow(wan, caching, model, traces, name, steps, scheduler="simple"):
    """Without the cache, with one that reuses nothing, and with those that do: the last trace."""
    how = {"steps": steps, "sampler": name, "scheduler": scheduler, **SMALL}
    plain = wan.sample(model, **how)
    assert torch.isfinite(plain).all()
    assert torch.equal(plain, wan.sample(caching.cached(model, 0.0), **how))
    forecast = wan.sample(caching.cached(model, max_consecutive_skips=2, warmup_steps=2), **how)
    reused = held(wan, caching, model, traces, **how)
    adaptive = SAMPLERS[name] == ADAPTIVE
    for latents, trace in zip((forecast, reused), traces[-2:], strict=True):
        assert torch.isfinite(latents).all()
        assert torch.equal(plain, latents) == adaptive
        assert trace.failsafes() == {}
    return traces[-1]


def assert_as_planned(caching, trace):
    """All evaluations of a known sampler do what the plan said before the first one."""
    assert trace.methods[0].plan == caching.actions(trace) == caching.actions(trace, "uncond")
    found = [record.step for record in trace.records if record.branch == "cond"]
    assert found == sorted(found) and set(found) == set(range(trace.steps))
    assert trace.notes == []


@pytest.mark.parametrize("steps", [12, pytest.param(20, marks=pytest.mark.matrix)])
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler(wan, caching, model, traces, known, unalarmed, tell, name, steps):
    known(name)
    trace = follow(wan, caching, model, traces, name, steps)
    found = len(caching.actions(trace))
    assert evaluations(name, steps) in (None, found)
    if SAMPLERS[name] == ADAPTIVE:
        assert set(caching.reasons(trace)) == {"adaptive sampler"}
        assert "everything is computed" in trace.notes[0]
    elif SAMPLERS[name] == OWN:
        assert "if this sampler makes more" in trace.notes[0]
    else:
        assert_as_planned(caching, trace)
    tell("Samplers", name, evaluations=SAMPLERS[name], cached=CACHED[SAMPLERS[name]])


SCHEDULERS = (
    *("simple", "sgm_uniform", "karras", "exponential", "ddim_uniform"),
    *("beta", "normal", "linear_quadratic", "kl_optimal"),
)


@pytest.mark.parametrize("steps", [12, pytest.param(20, marks=pytest.mark.matrix)])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler(wan, caching, model, traces, known, unalarmed, tell, scheduler, steps):
    known(scheduler)
    trace = follow(wan, caching, model, traces, "euler", steps, scheduler)
    assert_as_planned(caching, trace)
    words = "exact" if trace.steps == steps else f"{trace.steps} for {steps}"
    tell("Schedulers", scheduler, cached="each step", **{f"{steps} steps": words})


@pytest.mark.matrix
@pytest.mark.parametrize("scheduler", SCHEDULERS[1:])
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_with_every_scheduler(
    wan, caching, model, traces, known, unalarmed, name, scheduler
):
    known(name)
    known(scheduler)
    follow(wan, caching, model, traces, name, 12, scheduler)


@pytest.mark.parametrize(
    "name", [n if n in ("heun", "dpmpp_sde") else pytest.param(n, marks=pytest.mark.matrix)
             for n in SAMPLERS]
)  # fmt: skip
def test_at_the_hidden_level(wan, caching, model, traces, known, unalarmed, name):
    known(name)
    how = {"steps": 12, "sampler": name, **SMALL}
    plain = wan.sample(model, **how)
    assert torch.equal(plain, wan.sample(caching.cached(model, 0.0, "hidden"), **how))
    latents = wan.sample(caching.cached(model, 1.0, "hidden", max_consecutive_skips=2), **how)
    assert torch.isfinite(latents).all()
    assert traces[-1].failsafes() == {}
    assert ("R" in caching.actions(traces[-1])) == (SAMPLERS[name] != ADAPTIVE)
