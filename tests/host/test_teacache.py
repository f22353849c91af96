"""TeaCache's signal is the model's own time embedding, in fp32; its plan the published rule's."""

from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
import torch

STEPS = 14


@pytest.fixture(scope="session")
def watching(host):
    return import_module("watching")


@pytest.fixture
def apply(part, watching):
    """Runs Apply TeaCache; what is reused is decided by the options of the test alone."""
    node, options = part("nodes.teacache").ApplyTeaCache, part("cache_core").Options

    def execute(model, rel_l1_thresh=0.0, *, preset="custom", free=False, **inputs):
        inputs.setdefault("options", options(on_few_steps="allow") if free else None)
        return watching.execute(
            node, model=model, preset=preset, rel_l1_thresh=rel_l1_thresh, **inputs
        )

    return execute


class Captured:
    """What ``time_embedding`` and ``time_projection`` gave inside real forwards, by call."""

    def __init__(self, model):
        diffusion = model.model.diffusion_model
        self.values, self.handles = {"e": [], "e0": []}, []
        for signal, module in (
            ("e", diffusion.time_embedding),
            ("e0", diffusion.time_projection),
        ):
            keep = lambda m, args, out, signal=signal: self.values[signal].append(out.detach())  # noqa: E731
            self.handles.append(module.register_forward_hook(keep))

    def release(self):
        for handle in self.handles:
            handle.remove()

    def changes(self, signal, row=-1):
        """Relative change from step to step, of one row, computed in fp64 from what was seen."""
        rows = [value.reshape(-1, value.shape[-1])[row].double() for value in self.values[signal]]
        return [
            float((now - before).abs().mean() / before.abs().mean())
            for before, now in pairwise(rows)
        ]


def captured(wan, model, steps=STEPS, **way):
    """One sampling without the pack, its time embeddings captured."""
    seen = Captured(model)
    try:
        wan.sample(model, steps, **way)
    finally:
        seen.release()
    return seen


def naive_plan(changes, threshold, warmup, last, scale=lambda change: change):
    """TeaCache's published loop over a list of changes; the first step has none."""
    plan, total = "", 0.0
    for step in range(len(changes) + 1):
        total += scale(changes[step - 1]) if step else 0.0
        computed = step < warmup or step >= len(changes) + 1 - last or total >= threshold
        plan += "C" if computed else "R"
        total = 0.0 if computed else total
    return plan


def signal_of(use_ret_steps):
    return "e0" if use_ret_steps else "e"


MASK = torch.ones(1, 1, 3, 8, 8)
MASK[:, :, 0] = 0
FIVE_B = {"in_dim": 48, "out_dim": 48}


@pytest.mark.every_host
@pytest.mark.parametrize("use_ret_steps", [True, False], ids=["e0", "e"])
@pytest.mark.parametrize("scheduler", ["simple", "beta"])
def test_its_changes_are_those_inside_the_model(
    wan, caching, apply, model, traces, use_ret_steps, scheduler
):
    """At threshold 0 every step is computed, and compared with the one before it alone."""
    expected = captured(wan, model, scheduler=scheduler).changes(signal_of(use_ret_steps))
    wan.sample(apply(model, use_ret_steps=use_ret_steps)[0], STEPS, scheduler=scheduler)
    assert caching.actions(traces[0]) == "C" * STEPS
    assert caching.metrics(traces[0])[0] is None
    assert caching.metrics(traces[0])[1:] == pytest.approx(expected, abs=1e-5, rel=1e-5)
    assert caching.metrics(traces[0], "uncond") == caching.metrics(traces[0])


@pytest.mark.parametrize(
    ("use_ret_steps", "warmup", "last"), [(True, 5, 0), (False, 1, 1)], ids=["e0", "e"]
)
@pytest.mark.parametrize("share", [0.3, 1.5, 2.5])
def test_its_plan_is_the_published_loop_over_them(
    wan, caching, apply, model, traces, use_ret_steps, warmup, last, share
):
    """share: the threshold in units of the mean change."""
    changes = captured(wan, model).changes(signal_of(use_ret_steps))
    threshold = share * float(np.mean(changes))
    wan.sample(apply(model, threshold, use_ret_steps=use_ret_steps)[0], STEPS)
    expected = naive_plan(changes, threshold, warmup, last)
    assert traces[0].methods[0].plan == expected
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == expected
    assert share < 1 or "R" in expected


@pytest.mark.parametrize("preset", ["quality", "balanced", "fast"])
def test_what_happens_with_a_preset_is_the_plan_it_shows(
    wan, caching, apply, model, traces, preset
):
    wan.sample(apply(model, preset=preset)[0], 30)
    assert traces[0].methods[0].plan == caching.actions(traces[0])
    assert traces[0].methods[0].preset == preset


def upcast(wan, model):
    """A model in fp32 of the weights of another."""
    weights = {k: v.float() for k, v in model.model.diffusion_model.state_dict().items()}
    copy = wan.random_wan()
    copy.model.diffusion_model.load_state_dict(weights)
    return copy


@pytest.mark.parametrize("use_ret_steps", [True, False], ids=["e0", "e"])
def test_a_bf16_model_has_the_plan_of_its_weights_in_fp32(
    wan, caching, apply, traces, use_ret_steps
):
    exact = upcast(wan, wan.random_wan(torch.bfloat16))
    small = wan.random_wan(torch.bfloat16)
    small.set_model_compute_dtype(torch.bfloat16)
    seen = captured(wan, small)
    assert {value.dtype for value in seen.values["e0"]} == {torch.bfloat16}
    coarse = seen.changes(signal_of(use_ret_steps))
    for model in (small, exact):
        wan.sample(apply(model, use_ret_steps=use_ret_steps)[0], STEPS)
    found, expected = (caching.metrics(trace)[1:] for trace in traces)
    assert found == pytest.approx(expected, rel=1e-5)
    wrong = [abs(a - b) / b for a, b in zip(coarse, expected, strict=True)]
    assert max(wrong) > 1e-3


@pytest.mark.every_host
@pytest.mark.parametrize("use_ret_steps", [True, False], ids=["e0", "e"])
def test_frames_that_are_given_do_not_dilute_the_signal_of_5b(
    wan, caching, apply, traces, use_ret_steps
):
    model = wan.random_wan(**FIVE_B)
    seen = captured(wan, model, noise_mask=MASK)
    generated = seen.changes(signal_of(use_ret_steps), row=-1)
    given = seen.changes(signal_of(use_ret_steps), row=0)
    cached = apply(model, use_ret_steps=use_ret_steps)[0]
    wan.sample(cached, STEPS)
    wan.sample(cached, STEPS, noise_mask=MASK)
    without, with_image = (caching.metrics(trace)[1:] for trace in traces)
    assert with_image == without == pytest.approx(generated, abs=1e-5, rel=1e-5)
    assert given == [0.0] * (STEPS - 1)


def shifted(model, shift):
    """What the node ModelSamplingSD3 does."""
    import comfy.model_sampling

    class Shifted(comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST):
        pass

    clone = model.clone()
    sampling = Shifted(model.model.model_config)
    sampling.set_parameters(shift=shift, multiplier=1000)
    clone.add_object_patch("model_sampling", sampling)
    return clone


@pytest.mark.every_host
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_shift_of_the_schedule_is_seen(wan, caching, apply, model, traces, order):
    """Wherever ModelSamplingSD3 stands, before the node or behind it."""
    expected = captured(wan, shifted(model, 2.0)).changes("e")
    usual = captured(wan, model).changes("e")
    if order == "before":
        cached = apply(shifted(model, 2.0), use_ret_steps=False)[0]
    else:
        cached = shifted(apply(model, use_ret_steps=False)[0], 2.0)
    wan.sample(cached, STEPS)
    assert caching.metrics(traces[0])[1:] == pytest.approx(expected, abs=1e-5, rel=1e-5)
    assert expected != pytest.approx(usual, rel=0.05)


def test_two_halves_of_a_schedule_plan_for_their_own_part(wan, caching, apply, model, traces):
    steps, split = 20, 9
    changes = captured(wan, model, steps).changes("e")
    threshold = 1.5 * float(np.mean(changes))
    cached = apply(model, threshold, use_ret_steps=False)[0]
    half = wan.sample(cached, steps, start_step=0, last_step=split)
    wan.sample(
        cached, steps, latent=half, start_step=split, last_step=steps,
        disable_noise=True, force_full_denoise=True,
    )  # fmt: skip
    expected = [
        naive_plan(part, threshold, 1, 1) for part in (changes[: split - 1], changes[split:])
    ]
    assert [trace.methods[0].plan for trace in traces] == expected
    assert [caching.actions(trace) for trace in traces] == expected
    assert [len(plan) for plan in expected] == [split, steps - split]
    assert all("R" in plan for plan in expected)


POLYNOMIAL = (0.2, 0.1, 0.02)
"""Stays between 0 and 1 for every change of the random model."""


def test_on_the_schedule_of_its_fit_it_is_the_polynomial_of_the_change(
    wan, caching, part, model, traces
):
    """A polynomial that stays between 0 and 1; the schedule is the one it was fitted on."""
    fit, coefficients = part("cache_core.teacache").Fit, POLYNOMIAL
    sigmas = tuple(wan.schedule(model, STEPS)[:-1].tolist())
    changes = captured(wan, model).changes("e")
    policy = type(caching.static("TeaCache"))(0.0, "e", fit(coefficients, sigmas))
    wan.sample(caching.with_policies(model, policy), STEPS)
    expected = np.polyval(coefficients, changes).tolist()
    assert caching.metrics(traces[0])[1:] == pytest.approx(expected, abs=1e-5, rel=1e-5)
    assert traces[0].methods[0].notes == ()


def test_on_a_part_of_that_schedule_with_half_the_steps_it_adds_up_two(
    wan, caching, part, model, traces
):
    fit, coefficients = part("cache_core.teacache").Fit, POLYNOMIAL
    sigmas = tuple(wan.schedule(model, 2 * STEPS)[:-1].tolist())
    predicted = np.polyval(coefficients, captured(wan, model, 2 * STEPS).changes("e"))
    policy = type(caching.static("TeaCache"))(0.0, "e", fit(coefficients, sigmas))
    wan.sample(caching.with_policies(model, policy), STEPS)
    assert wan.schedule(model, STEPS)[:-1].tolist() == list(sigmas[::2])
    pairs = [sum(predicted[2 * i : 2 * i + 2]) for i in range(STEPS - 1)]
    assert caching.metrics(traces[0])[1:] == pytest.approx(pairs, rel=1e-4)


def official_14b(wan, model, sigmas):
    """The published rule for T2V 14B with ``use_ret_steps``, on this model's own e0."""
    coefficients = (-303318.725, 49053.7029, -2655.30556, 58.7365115, -0.315583525)
    return np.polyval(coefficients, sampled_at(wan, model, sigmas).changes("e0"))


def sampled_at(wan, model, sigmas):
    seen = Captured(model)
    try:
        sample_at(wan, model, sigmas)
    finally:
        seen.release()
    return seen


def sample_at(wan, model, sigmas):
    import comfy.sample
    import comfy.samplers

    latent, noise = wan.latent_and_noise(model, 0, 1, (1, 4, 4))
    with torch.inference_mode():
        return comfy.sample.sample_custom(
            model, noise, 1.0, comfy.samplers.sampler_object("euler"), torch.tensor(sigmas),
            wan.conditioning(1), wan.conditioning(2), latent, disable_pbar=True, seed=0,
        )  # fmt: skip


def native(steps, shift):
    """Wan's own flow schedule, as its scripts make it."""
    times = [0.999 * (1 - i / steps) for i in range(steps)]
    return [int(1000 * shift * t / (1 + (shift - 1) * t)) / 1000 for t in times] + [0.0]


def test_a_published_polynomial_that_is_not_this_models_is_told(wan, caching, apply, model, traces):
    """On the published schedule: clamped where it says less than nothing, or left, and noted."""
    sigmas = native(50, 5)
    raw = official_14b(wan, model, sigmas)
    sample_at(wan, apply(model, model_variant="wan2.1_t2v_14B")[0], sigmas)
    trace, wrong = traces[0], int(((raw < 0) | (raw > 1)).sum())
    notes = " ".join(trace.methods[0].notes)
    assert wrong > 0
    assert f"outside 0 to 1 at {wrong} of 49" in notes
    if 2 * wrong > 49:
        expected = 10 * np.asarray(sampled_at(wan, model, sigmas).changes("e0"))
        assert "raw signal" in notes
    else:
        expected = np.clip(raw, 0, 1)
    assert caching.metrics(trace)[1:] == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("preset", ["balanced", "custom"])
def test_a_polynomial_of_the_nearest_model_is_said_to_be_borrowed(
    wan, apply, part, traces, monkeypatch, preset
):
    monkeypatch.setitem(part("nodes.host.identity").SIZES, (128, 1), "1.3B")
    model = wan.random_wan(num_layers=1, in_dim=36)
    wan.sample(apply(model, preset=preset)[0], 12)
    method = traces[0].methods[0]
    assert "borrowed" in " ".join([method.source, *method.notes])
    assert "wan2.1_t2v_1.3B" in " ".join([method.source, *method.notes])


def test_coefficients_none_leaves_the_polynomial_out(wan, caching, apply, model, traces):
    cached = apply(model, model_variant="wan2.1_t2v_14B", coefficients="none", free=True)[0]
    expected = captured(wan, model, 8).changes("e0")
    wan.sample(cached)
    assert caching.metrics(traces[0])[1:] == pytest.approx(expected, abs=1e-5, rel=1e-5)
    assert traces[0].methods[0].notes == ()


def test_5b_has_one_polynomial_whatever_signal_is_asked_for(wan, caching, apply, model, traces):
    for use_ret_steps in (True, False):
        variant = {"model_variant": "wan2.2_ti2v_5B", "use_ret_steps": use_ret_steps}
        wan.sample(apply(model, **variant)[0], STEPS)
    assert caching.metrics(traces[0]) == caching.metrics(traces[1])
    assert "no polynomial for e0 is published" in " ".join(traces[0].methods[0].notes)
    assert [t.methods[0].settings["signal"] for t in traces] == ["e", "e"]


def test_without_a_second_expert_its_output_blocks(apply, model):
    from comfy_execution.graph_utils import ExecutionBlocker

    assert isinstance(apply(model)[1], ExecutionBlocker)


def test_the_plan_is_in_the_log_before_the_first_step(wan, apply, model, monkeypatch, caplog):
    import logging

    said_first, diffusion = [], model.model.diffusion_model

    def look(*args):
        said_first.append("steps: 1-5" in caplog.text)

    handle = diffusion.blocks[0].register_forward_hook(look)
    with caplog.at_level(logging.INFO):
        wan.sample(apply(model, 10.0)[0], STEPS)
    handle.remove()
    assert said_first[0]
    assert f"computes 5 of {STEPS} steps: 1-5" in caplog.text
