"""Faults in real samplings, of every method: computed, counted, logged once, and survived."""

import pytest
import torch

STEPS = 9
METHODS = ("FBCache", "TeaCache", "MagCache", "TaylorSeer", "AdaCache", "CustomCache", "EasyCache")
LEVELS = ("output", "hidden")
ERROR, NOT_FINITE, CHANGED = "error", "metric not finite", "changed input"
ONCE_A_BLOCK = "blocks.1.self_attn.o"
"""A layer that runs once when the second block does."""


@pytest.fixture(scope="module")
def model(wan):
    """Two blocks are enough here, and fast."""
    return wan.random_wan(num_layers=2)


@pytest.fixture(scope="module")
def any_dtype(wan):
    """A model whose weights the host casts to the type of the input."""
    return wan.random_wan(torch.float16, num_layers=2)


@pytest.fixture(scope="module")
def plain(wan, model):
    """What the render is without the cache."""
    return wan.sample(model, STEPS)


def reusing(caching, name, model, level="output", **options):
    """The model under a method that reuses all from the third step on."""
    options = {"level": level, "warmup_steps": 2, "forecast": "hold", **options}
    if name == "FBCache":
        return caching.cached(model, **options)
    if name in caching.STATIC:
        return caching.with_policies(model, caching.static(name), **options)
    return caching.applied(name, model, **options)


def raising(*args, **kwargs):
    raise RuntimeError("on purpose")


def to_nan(vote, policy, state, distance, *more):
    """A method's vote on a distance that is no number, where it knows one."""
    return vote(policy, state, None if distance is None else float("nan"), *more)


FAULTS = {
    "vote": ("cache_core.run", None, "vote", None, ERROR),
    "metric": ("cache_core.run", None, "vote", to_nan, NOT_FINITE),
    "forecast": ("cache_core.forecast", "Forecast", "weights", None, ERROR),
    "sum": ("cache_core.recall", None, "combine_into", None, ERROR),
    "store": ("cache_core.store", "History", "fill", None, ERROR),
    "alarm": ("cache_core.alarm", "Alarm", "watch", None, ERROR),
}
"""The part of the pack that fails, what it does then (None: it raises), how that is told."""
AFTER_THE_DECISION = ("forecast", "sum")
"""Faults that can only happen where a value is reused."""


@pytest.fixture
def sabotage(part, monkeypatch):
    """``sabotage(fault, at)``: at its n-th call it goes wrong, without ``at`` at every call."""

    def prepare(fault, at=None):
        module, owner, name, wrong, _ = FAULTS[fault]
        target = part(module) if owner is None else getattr(part(module), owner)
        original, calls = getattr(target, name), []

        def attempt(*args):
            calls.append(1)
            if at not in (None, len(calls)):
                return original(*args)
            return wrong(original, *args) if wrong else raising()

        monkeypatch.setattr(target, name, attempt)

    return prepare


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_never_works_leaves_the_render_as_it_is_without_the_cache(
    wan, caching, model, plain, traces, sabotage, caplog, fault, name, level
):
    sabotage(fault)
    with caching.module_calls(model) as calls:
        found = wan.sample(reusing(caching, name, model, level), STEPS)
        assert calls(ONCE_A_BLOCK) == STEPS
    assert torch.equal(found, plain)
    assert list(traces[0].failsafes()) == [FAULTS[fault][-1]]
    errors = caplog.text.count("computing after an error of its own")
    assert errors == (FAULTS[fault][-1] == ERROR)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("fault", ["vote", "metric", *AFTER_THE_DECISION])
def test_what_fails_once_is_computed_once_and_reuse_goes_on(
    wan, caching, model, traces, sabotage, caplog, fault, name
):
    sabotage(fault, at=5)  # a vote an evaluation, two forecasts a reused one
    outside, given = caching.seeing(model)
    inside, computed = caching.seeing(reusing(caching, name, outside, max_consecutive_skips=20))
    assert torch.isfinite(wan.sample(inside, STEPS)).all()
    actions, told = caching.actions(traces[0]), FAULTS[fault][-1]
    assert actions[:5] == "CCRRC" and "R" in actions[5:]
    assert caching.reasons(traces[0])[4] == told
    assert len(computed) == actions.count("C")
    assert torch.equal(computed[2].latent, given[4].latent)
    assert torch.equal(computed[2].output, given[4].output)
    assert list(traces[0].failsafes()) == [told]
    assert caplog.text.count("computing after an error of its own") == (told == ERROR)


def test_a_correction_that_fails_is_left_out(
    wan, caching, part, model, traces, monkeypatch, caplog
):
    monkeypatch.setattr(part("cache_core.recall"), "make_good", raising)
    outside, given = caching.seeing(model)
    options = {"max_consecutive_skips": 1, "forecast": "auto", "correction": "on"}
    inside, computed = caching.seeing(reusing(caching, "TeaCache", outside, **options))
    wan.sample(inside, STEPS)
    assert traces[0].failsafes()["error"] > 0
    assert caplog.text.count("computing after an error of its own") == 1
    at = [place for place, letter in enumerate(caching.actions(traces[0])) if letter == "C"]
    for place, made in zip(at, computed, strict=True):
        assert torch.equal(given[place].output, made.output)


def from_the_fifth_on(change):
    """A wrapper of another pack that changes what the model is called with."""

    def wrapper(calls):
        def diffusion_model(executor, x, timestep, context, *args, **kwargs):
            calls.append(1)
            if len(calls) < 5:
                return executor(x, timestep, context, *args, **kwargs)
            return change(executor, x, timestep, context, list(args), kwargs)

        return diffusion_model

    return wrapper


def in_half_precision(executor, x, timestep, context, args, kwargs):
    assert x.dtype is torch.float32
    return executor(x.bfloat16(), timestep, context.bfloat16(), *args, **kwargs).to(x.dtype)


def halved(block_args, extra):
    return {"img": block_args["img"] / 2}


def with_a_block_patch(executor, x, timestep, context, args, kwargs):
    args[2] = {**args[2], "patches_replace": {"dit": {("double_block", 1): halved}}}
    return executor(x, timestep, context, *args, **kwargs)


def of_half_the_width(executor, x, timestep, context, args, kwargs):
    half = executor(x[..., : x.shape[-1] // 2].contiguous(), timestep, context, *args, **kwargs)
    return torch.cat([half, half], dim=-1)


CHANGES = {
    "shape": (of_half_the_width, {CHANGED}),
    "dtype": (in_half_precision, {CHANGED}),
    "patches": (with_a_block_patch, set()),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("change", CHANGES)
def test_an_input_that_changes_is_computed_and_starts_anew(
    wan, caching, any_dtype, traces, change, name, level
):
    """A patched model counts as another one, so for it nothing is out of the ordinary."""
    from comfy.patcher_extension import WrappersMP

    changed, failsafes = CHANGES[change]
    other = any_dtype.clone()
    wrapper = from_the_fifth_on(changed)([])
    other.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "another pack", wrapper)
    cached = reusing(caching, name, other, level, max_consecutive_skips=20)
    assert torch.isfinite(wan.sample(cached, STEPS)).all()
    actions = caching.actions(traces[0])
    assert actions[:5] == "CCRRC" and "R" in actions[5:]
    assert set(traces[0].failsafes()) == failsafes


def test_a_branch_without_history_is_computed(wan, caching, model, traces, monkeypatch):
    usual = wan.conditioning
    late = [[text, {**extra, "start_percent": 0.45}] for text, extra in usual(2)]
    negative = [*usual(2), *late]
    monkeypatch.setattr(wan, "conditioning", lambda seed: negative if seed == 2 else usual(seed))
    cached = reusing(caching, "FBCache", model, max_consecutive_skips=20)
    assert torch.isfinite(wan.sample(cached, STEPS)).all()
    assert set(traces[0].failsafes()) == {"no history"}


def sampled_through(wan, model, sigmas, sampler):
    """Latents of a sampling with this schedule: the host's euler, or one nobody knows."""
    import comfy.sample
    import comfy.samplers

    def unknown(model_k, x, sigmas, extra_args, callback=None, disable=None):
        return wan.euler(lambda x, s: model_k(x, s.expand(len(x)), **extra_args), x, sigmas)

    known = comfy.samplers.sampler_object("euler")
    used = known if sampler == "euler" else comfy.samplers.KSAMPLER(unknown)
    latent, noise = wan.latent_and_noise(model, 0, 1, (3, 8, 8))
    with torch.inference_mode():
        return comfy.sample.sample_custom(
            model, noise, 5.0, used, torch.tensor(sigmas), wan.conditioning(1),
            wan.conditioning(2), latent, disable_pbar=True, seed=0,
        )  # fmt: skip


RESTART = [1.0, 0.95, 0.9, 0.85, 0.8, 0.9, 0.85, 0.8, 0.6, 0.4, 0.0]
"""The sampler goes back at its sixth evaluation."""


@pytest.mark.parametrize("sampler", ["euler", "unknown"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", METHODS)
def test_a_sampler_that_goes_back_in_its_schedule_computes(
    wan, caching, model, traces, name, level, sampler
):
    cached = reusing(caching, name, model, level, max_consecutive_skips=20, forecast="taylor")
    assert torch.isfinite(sampled_through(wan, cached, RESTART, sampler)).all()
    assert caching.actions(traces[0])[:6] == "CCRRRC"
    assert caching.reasons(traces[0])[5] == CHANGED
    assert traces[0].failsafes()[CHANGED] == 2


STRAY = {"above": 2.0, "none": float("nan"), "zero": 0.0, "below": -1.0}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("sigma", STRAY.values(), ids=list(STRAY))
def test_a_sigma_outside_the_schedule_is_computed(wan, caching, model, traces, name, sigma):
    def straying(evaluate, x, sigmas):
        for step, at in enumerate(sigmas[:-1]):
            if step == 4:
                evaluate(x, torch.tensor(sigma))
            x = x + (x - evaluate(x, at)) / at * (sigmas[step + 1] - at)
        return x

    wan.sample_with(straying, reusing(caching, name, model), steps=STEPS)
    assert caching.actions(traces[0])[:5] == "CCRRC"
    back = 4 if sigma == STRAY["above"] else 5
    assert caching.actions(traces[0])[back] == "C"
    assert traces[0].failsafes()[CHANGED] >= 2
