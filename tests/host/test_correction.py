"""Once a step is computed, what the reused steps before it got wrong is made good."""

from math import log

import numpy as np
import pytest
import torch

STEPS = 13
MASK = torch.ones(1, 1, 3, 8, 8)
MASK[:, :, 0] = 0
CORRECTED = {"euler", "dpmpp_2m", "res_multistep"}


@pytest.fixture
def applied(caching):
    """Apply TaylorSeer with one step in three computed, after four; the options are the test's."""

    def on(model, interval=3, first=4, last=1, level="output", **options):
        options = {"warmup_steps": None, "last_steps": None, **options}
        widgets = {"interval": interval, "first_enhance": first, "last_steps": last}
        return caching.applied("TaylorSeer", model, level=level, widgets=widgets, **options)

    return on


def logsnr(sigma):
    """Sigma kept 0.002 away from 0 and 1."""
    inside = min(max(sigma, 0.002), 0.998)
    return log((1 - inside) / inside)


def through(known, sigma):
    """The polynomial in log-SNR through (sigma, velocity) pairs, at another sigma."""
    points = np.array([logsnr(at) for at, _ in known]) - logsnr(sigma)
    weights = np.linalg.solve(np.vander(points, increasing=True).T, np.eye(len(points))[0])
    return sum(w * v for w, (_, v) in zip(weights, known, strict=True))


def forecast(known, sigma, elapsed, slope=0.6, horizon=3):
    """A line in log-SNR, of which a share is taken, beyond three steps ever less of it."""
    share = slope * min(1.0, horizon / elapsed)
    return share * through(known[-2:], sigma) + (1 - share) * known[-1][1]


def naive_euler(x, sigmas, plan, velocities, corrects=True):
    """The path of Euler's method, every latent of it, in fp64.

    velocities: those of the model, at the computed steps in order. At a computed step the path
    since the computed step before is gone once more, with velocities interpolated through the two
    kept values and the new one: the step starts where that leads.
    """
    velocities, known, reused = iter(velocities), [], []
    path = [x.double()]
    for step, what in enumerate(plan):
        if what == "R":
            reused.append(step)
            velocity, x = forecast(known, sigmas[step], len(reused)), path[-1]
        else:
            velocity, x = next(velocities).double(), path[-1]
            if corrects and reused:
                x = rewritten(
                    path[reused[0]], sigmas, reused, [*known[-2:], (sigmas[step], velocity)]
                )
            known.append((sigmas[step], velocity))
            reused = []
        path.append(x + (sigmas[step + 1] - sigmas[step]) * velocity)
    return path


def rewritten(x, sigmas, reused, known):
    for step in reused:
        x = x + (sigmas[step + 1] - sigmas[step]) * through(known, sigmas[step])
    return x


def guided(calls, caching, cfg):
    """Velocities of the sampler from those of the branches."""
    cond = caching.of_branch(calls, 0)
    if cfg == 1:
        return cond
    uncond = caching.of_branch(calls, 1)
    return [u + cfg * (c - u) for c, u in zip(cond, uncond, strict=True)]


def watched_run(wan, caching, applied, model, cfg, **options):
    """Latents at every step and at the end, and the velocities that the model itself gave."""
    outside, steps = caching.seeing(model)
    cached, computed = caching.seeing(applied(outside, **options))
    final = wan.sample(cached, STEPS, cfg=cfg)
    sampler_saw = caching.of_branch(steps, 0, "latent")
    return [*sampler_saw, model.model.process_latent_in(final)], guided(computed, caching, cfg)


WAYS = {
    "as by default": ({}, "CCCCRRCRRCRRC", True),
    "not corrected": ({"correction": "off"}, "CCCCRRCRRCRRC", False),
    "every second": ({"interval": 2}, "CCCCRCRCRCRCC", True),
    "every fifth": ({"interval": 5}, "CCCCRRRRCRRRC", True),
    "the last step is reused": ({"interval": 4, "last": 0}, "CCCCRRRCRRRCR", True),
    "the last three are reused": ({"interval": 6, "last": 0}, "CCCCRRRRRCRRR", True),
    "from the second step on": ({"interval": 4, "first": 1}, "CRRRCRRRCRRRC", True),
}
"""How TaylorSeer is applied, the plan that follows, and whether steps are made good."""


@pytest.mark.parametrize("cfg", [5.0, 1.0], ids=["guided", "CFG 1"])
@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate"])
@pytest.mark.parametrize(("options", "plan", "corrects"), WAYS.values(), ids=list(WAYS))
def test_the_path_is_that_of_a_naive_euler_loop(
    wan, caching, applied, model, traces, run_separately, options, plan, corrects, separately, cfg
):
    if separately:
        run_separately(model)
    path, velocities = watched_run(wan, caching, applied, model, cfg, **options)
    assert caching.actions(traces[0]) == plan
    sigmas = wan.schedule(model, STEPS).tolist()
    expected = naive_euler(path[0], sigmas, plan, velocities, corrects)
    for ours, naive in zip(path, expected, strict=True):
        torch.testing.assert_close(ours.double(), naive, rtol=1e-4, atol=1e-4)
    assert ("corrected" in traces[0].forecast) == corrects
    assert traces[0].failsafes() == {}


def test_what_is_kept_is_what_the_model_gave_not_what_was_made_of_it(
    wan, caching, applied, model, part, monkeypatch
):
    history, kept = part("cache_core.store").History, []
    fill = history.fill

    def watched_fill(self, *args):
        fill(self, *args)
        kept.append(self.values[-1].clone())

    monkeypatch.setattr(history, "fill", watched_fill)
    cached, computed = caching.seeing(applied(model))
    wan.sample(cached, STEPS, cfg=1.0)
    assert len(kept) == len(computed) == 7
    assert all(torch.equal(a, b.output) for a, b in zip(kept, computed, strict=True))


def test_it_brings_the_latents_nearer_to_those_of_no_cache_at_all(wan, applied, model):
    plain = wan.sample(model, 30, cfg=1.0)
    ways = [{}, {"correction": "off"}]
    errors = [(wan.sample(applied(model, **way), 30, cfg=1.0) - plain).norm() for way in ways]
    assert errors[0] < errors[1]


def samplers():
    import comfy.samplers

    return [name for name in comfy.samplers.SAMPLER_NAMES if name != "ar_video"]


@pytest.fixture(scope="module")
def small(wan):
    return wan.random_wan(num_layers=1)


@pytest.mark.every_host
def test_three_samplers_are_corrected_by_default_and_no_other(wan, applied, small, traces):
    """The host's ddim is its euler under another name."""
    found = {}
    for name in samplers():
        wan.sample(applied(small), 5, sampler=name, size=(1, 4, 4))
        found[name] = traces[-1].forecast
    assert {name for name, said in found.items() if "corrected" in said} == {*CORRECTED, "ddim"}


def adds_noise(wan, model, sampler):
    """True when the same noise at the start and another seed give other latents."""
    import comfy.sample

    latent, noise = wan.latent_and_noise(model, 0, 1, (1, 4, 4))
    one, other = (
        comfy.sample.sample(
            model, noise, 5, 1.0, sampler, "simple", wan.conditioning(1), wan.conditioning(2),
            latent, disable_pbar=True, seed=seed,
        )
        for seed in (1, 2)
    )  # fmt: skip
    return not torch.equal(one, other)


@pytest.mark.every_host
def test_samplers_that_add_noise_hold_what_is_denoised_and_no_other(wan, applied, small, traces):
    """Found by trying: another seed for the noise in between gives other latents."""
    wrong = {}
    for name in samplers():
        wan.sample(applied(small), 5, sampler=name, size=(1, 4, 4))
        holds = traces[-1].forecast == "hold of the denoised latent"
        if holds != adds_noise(wan, small, name):
            wrong[name] = traces[-1].forecast
    assert wrong == {}


NOT_CORRECTED = {
    "hidden": {"level": "hidden"},
    "hidden, wished": {"level": "hidden", "correction": "on"},
    "hold": {"forecast": "hold"},
    "taylor": {"forecast": "taylor"},
    "off": {"correction": "off"},
}


@pytest.mark.parametrize("sampler", sorted(CORRECTED))
@pytest.mark.parametrize("options", NOT_CORRECTED.values(), ids=list(NOT_CORRECTED))
def test_without_correction_the_sampler_gets_what_the_model_gave(
    wan, caching, applied, model, traces, options, sampler
):
    outside, steps = caching.seeing(model)
    cached, computed = caching.seeing(applied(outside, **options))
    wan.sample(cached, STEPS, sampler=sampler)
    assert "corrected" not in traces[0].forecast
    plan = caching.actions(traces[0])
    assert plan == "CCCCRRCRRCRRC"
    inside = computed if options.get("level") != "hidden" else steps
    got = [call for call, what in zip(steps, plan, strict=True) if what == "C"]
    gave = inside if inside is computed else got
    assert all(torch.equal(a.output, b.output) for a, b in zip(got, gave, strict=True))


@pytest.mark.parametrize("sampler", sorted(CORRECTED))
def test_with_it_the_step_after_reused_ones_is_another(wan, caching, applied, model, sampler):
    outside, steps = caching.seeing(model)
    cached, computed = caching.seeing(applied(outside))
    wan.sample(cached, STEPS, sampler=sampler)
    got = [call for call, what in zip(steps, "CCCCRRCRRCRRC", strict=True) if what == "C"]
    same = [torch.equal(a.output, b.output) for a, b in zip(got, computed, strict=True)]
    assert same == [True] * 4 + [False] * 3


@pytest.mark.parametrize("sampler", sorted(CORRECTED))
@pytest.mark.parametrize("name", ["TaylorSeer", "EasyCache", "AdaCache", "CustomCache"])
def test_branches_that_run_separately_give_the_same(
    wan, caching, model, traces, run_separately, name, sampler
):
    cached = caching.applied(name, model, max_consecutive_skips=2)
    batched = wan.sample(cached, STEPS, sampler=sampler)
    run_separately(model)
    torch.testing.assert_close(
        batched, wan.sample(cached, STEPS, sampler=sampler), rtol=1e-3, atol=1e-3
    )
    assert caching.actions(traces[0]) == caching.actions(traces[1])
    assert traces[0].failsafes() == traces[1].failsafes() == {}


MASKED = {"t2v": 16, "5B, a noise level for every frame": 48}


@pytest.fixture(scope="module", params=MASKED.values(), ids=list(MASKED))
def masked(request, wan):
    """``masked(sampler)``: a model, how it is sampled, and what comes of it without the cache."""
    channels = request.param
    model = wan.random_wan(num_layers=1, in_dim=channels, out_dim=channels)
    given = torch.randn(1, channels, 3, 8, 8, generator=torch.manual_seed(5))
    found = {}

    def sampled(sampler):
        way = {"sampler": sampler, "noise_mask": MASK, "latent": given}
        if sampler not in found:
            found[sampler] = wan.sample(model, STEPS, **way)
        return model, way, found[sampler]

    return sampled


@pytest.mark.every_host
@pytest.mark.parametrize("sampler", [*sorted(CORRECTED), "lcm", "euler_ancestral", "uni_pc"])
@pytest.mark.parametrize("name", ["TaylorSeer", "EasyCache", "AdaCache"])
def test_a_mask_holds_its_frames_and_breaks_nothing(wan, caching, masked, traces, name, sampler):
    model, way, plain = masked(sampler)
    given = way["latent"]
    found = wan.sample(caching.applied(name, model, max_consecutive_skips=2), STEPS, **way)
    assert "R" in caching.actions(traces[0])
    assert torch.isfinite(found).all()
    assert traces[0].failsafes() == {}
    torch.testing.assert_close(found[:, :, 0], plain[:, :, 0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[:, :, 0], given[:, :, 0], rtol=0.02, atol=0.02)
    assert not torch.allclose(found[:, :, 1:], given[:, :, 1:], atol=0.1)


SDE = ("euler_ancestral", "lcm", "dpmpp_2m_sde")


@pytest.mark.parametrize("sampler", SDE)
@pytest.mark.parametrize("name", ["TaylorSeer", "EasyCache", "CustomCache"])
def test_samplers_that_add_noise_hold_what_is_denoised(wan, caching, model, traces, name, sampler):
    seen, calls = caching.seeing(model)
    wan.sample(caching.applied(name, seen, max_consecutive_skips=3), STEPS, sampler=sampler)
    assert traces[0].forecast == "hold of the denoised latent"
    kept, reused = None, 0
    for what, call in zip(caching.actions(traces[0]), calls, strict=True):
        denoised = call.latent.double() - call.sigma * call.output.double()
        if what == "C":
            kept = denoised
        else:
            torch.testing.assert_close(denoised, kept, rtol=1e-4, atol=1e-4)
            reused += 1
    assert reused >= 6
    assert traces[0].failsafes() == {}


@pytest.mark.parametrize("forecast", ["hold", "taylor"])
def test_a_forecast_that_was_asked_for_goes_before_it(wan, caching, model, traces, forecast):
    cached = caching.applied("CustomCache", model, forecast=forecast)
    wan.sample(cached, 5, sampler="lcm", size=(1, 4, 4))
    assert "denoised" not in traces[0].forecast


@pytest.mark.parametrize("level", ["output", "hidden"])
def test_what_is_denoised_is_exact_right_after_it_was_computed(
    wan, caching, part, model, traces, monkeypatch, level
):
    """Evaluated thrice at every point, by a sampler that is said to add noise."""
    facts = part("nodes.host.facts")
    monkeypatch.setattr(facts, "ADDS_NOISE", {"run"})
    from watching import evaluated_thrice, reused_where_computed

    cached = caching.applied("TaylorSeer", model, level=level, max_consecutive_skips=1)
    results = evaluated_thrice(wan, cached, steps=6)
    pairs = reused_where_computed(results, caching.evaluations(traces[0]))
    assert len(pairs) >= 4
    if level == "output":
        assert traces[0].forecast == "hold of the denoised latent"
    for computed, reused in pairs:
        torch.testing.assert_close(computed, reused, rtol=1e-5, atol=1e-5)


WISHED = {
    "hold": {"forecast": "hold"},
    "taylor": {"forecast": "taylor"},
    "degree 0": {"max_order": 0},
}


@pytest.mark.parametrize("options", WISHED.values(), ids=list(WISHED))
@pytest.mark.parametrize("name", ["TaylorSeer", "EasyCache", "AdaCache"])
def test_wished_for_it_is_no_worse_than_none(wan, caching, model, traces, name, options):
    """EasyCache's hold is relative to the input: nothing that a correction could add up."""
    plain = wan.sample(model, 20, cfg=1.0)
    guards = {"max_consecutive_skips": 2, "warmup_steps": 5, "last_steps": 1, **options}
    with_it, without = (
        wan.sample(caching.applied(name, model, correction=c, **guards), 20, cfg=1.0)
        for c in ("on", "off")
    )
    if "relative to the input" in traces[0].forecast:
        assert torch.equal(with_it, without)
    else:
        assert "corrected" in traces[0].forecast
        assert (with_it - plain).norm() < (without - plain).norm()


def test_a_correction_that_fails_costs_no_render(wan, caching, part, model, traces, monkeypatch):
    def broken(*args):
        raise RuntimeError("on purpose")

    monkeypatch.setattr(part("cache_core.call").Call, "_corrected", broken)
    assert torch.isfinite(
        wan.sample(caching.applied("CustomCache", model, max_consecutive_skips=2), 9)
    ).all()
    assert traces[0].failsafes().keys() == {"error"}
    assert "R" in caching.actions(traces[0])
