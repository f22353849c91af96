"""MagCache follows the ratios published or calibrated for a model, as its authors' loop does."""

import json
from importlib import import_module

import pytest
import torch
from checkout import ROOT

ENTRIES = json.loads((ROOT / "cache_core" / "published" / "magcache.json").read_text())
NUMBERS = {"magcache_thresh": 0.12, "magcache_K": 2, "retention_ratio": 0.2}
FREE = {"magcache_thresh": 0.0, "magcache_K": 50, "retention_ratio": 0.0}
"""Everything is computed, and every step compared with the one before it alone."""


@pytest.fixture(scope="session")
def watching(host):
    return import_module("watching")


@pytest.fixture
def apply(part, watching):
    """Runs Apply MagCache; ``options`` are those of the Options class."""
    node, chosen = part("nodes.magcache").ApplyMagCache, part("cache_core").Options

    def execute(model, curve="wan2.1_t2v_1.3B", preset="custom", options=None, **inputs):
        options = chosen(**{"on_few_steps": "allow", **(options or {})})
        return watching.execute(
            node, model=model, preset=preset, calibration=curve, options=options, **inputs
        )

    return execute


@pytest.fixture(scope="module")
def model(wan):
    """One block is enough: what is tested are plans."""
    return wan.random_wan(num_layers=1)


def native(name):
    """The noise levels at which a published curve was measured, as Wan's scripts make them."""
    steps, shift = ENTRIES[name]["steps"], ENTRIES[name]["shift"]
    times = [0.999 * (1 - i / steps) for i in range(steps)]
    return [int(1000 * shift * t / (1 + (shift - 1) * t)) / 1000 for t in times]


def sample_at(wan, model, sigmas, cfg=5.0):
    import comfy.sample
    import comfy.samplers

    latent, noise = wan.latent_and_noise(model, 0, 1, (1, 4, 4))
    with torch.inference_mode():
        return comfy.sample.sample_custom(
            model, noise, cfg, comfy.samplers.sampler_object("euler"), torch.tensor(sigmas),
            wan.conditioning(1), wan.conditioning(2), latent, disable_pbar=True, seed=0,
        )  # fmt: skip


def authors_loop(ratios, magcache_thresh, magcache_K, retention_ratio):
    """magcache_generate.py for one of the branches: C and R by step."""
    plan, ratio, error, steps = "", 1.0, 0.0, 0
    for step, change in enumerate(ratios):
        skip = False
        if 2 * step >= int(2 * len(ratios) * retention_ratio):
            ratio, steps = ratio * change, steps + 1
            error += abs(1 - ratio)
            skip = error < magcache_thresh and steps <= magcache_K
            if not skip:
                ratio, error, steps = 1.0, 0.0, 0
        plan += "R" if skip else "C"
    return plan


SETTINGS = {
    "paper": {"magcache_thresh": 0.12, "magcache_K": 4, "retention_ratio": 0.2},
    "slow": {"magcache_thresh": 0.06, "magcache_K": 2, "retention_ratio": 0.2},
    "fast": {"magcache_thresh": 0.24, "magcache_K": 6, "retention_ratio": 0.2},
    "late": {"magcache_thresh": 0.12, "magcache_K": 3, "retention_ratio": 0.4},
    "K 1": {"magcache_thresh": 1.0, "magcache_K": 1, "retention_ratio": 0.1},
}
WHOLE = [name for name, entry in ENTRIES.items() if "high_noise_steps" not in entry]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=list(SETTINGS))
@pytest.mark.parametrize("curve", WHOLE)
def test_on_the_published_schedule_it_is_the_authors_loop(
    wan, caching, apply, model, traces, curve, settings
):
    cached, _ = apply(model, curve, options={"last_steps": 0}, **settings)
    sample_at(wan, cached, [*native(curve), 0.0])
    expected = authors_loop(ENTRIES[curve]["cond"], **settings)
    assert traces[0].methods[0].plan == expected
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == expected
    assert "R" in expected


@pytest.mark.every_host
def test_a_golden_plan(wan, apply, model, traces):
    """50 steps at shift 5 with the ratios of T2V 1.3B, last step computed."""
    sample_at(wan, apply(model, **SETTINGS["paper"])[0], [*native("wan2.1_t2v_1.3B"), 0.0])
    plan = traces[0].methods[0].plan
    assert len(plan) == 50
    assert plan[:10] == "C" * 10
    assert plan[-1] == "C"
    assert plan[:-1] == authors_loop(ENTRIES["wan2.1_t2v_1.3B"]["cond"], **SETTINGS["paper"])[:-1]


def test_branches_that_decide_for_themselves_go_by_their_own_ratios(
    wan, caching, apply, model, traces, run_separately
):
    run_separately(model)
    curve, settings = "wan2.1_t2v_14B", {**SETTINGS["paper"], "magcache_thresh": 0.03}
    options = {"last_steps": 0, "cfg_mode": "separate"}
    sample_at(wan, apply(model, curve, options=options, **settings)[0], [*native(curve), 0.0])
    expected = [authors_loop(ENTRIES[curve][branch], **settings) for branch in ("cond", "uncond")]
    assert expected[0] != expected[1]
    assert [caching.actions(traces[0], b) for b in ("cond", "uncond")] == expected


@pytest.mark.parametrize("at", [0.0, 0.12], ids=["threshold 0", "K 0"])
def test_numbers_that_reuse_nothing(wan, caching, apply, model, traces, at):
    numbers = {"magcache_thresh": at, "magcache_K": 0 if at else 4, "retention_ratio": 0.0}
    plain = wan.sample(model, 12)
    assert torch.equal(plain, wan.sample(apply(model, **numbers)[0], 12))
    assert caching.actions(traces[0]) == "C" * 12
    reasons = caching.reasons(traces[0])[1:-1]
    assert set(reasons) == {"max consecutive skips" if at else "above threshold"}


@pytest.mark.parametrize(
    ("retention_ratio", "computed"), [(0.0, 1), (0.01, 1), (0.2, 4), (0.5, 10), (1.0, 20)]
)
def test_the_first_steps_and_the_last_are_computed(
    wan, caching, apply, model, traces, retention_ratio, computed
):
    settings = {"magcache_thresh": 10.0, "magcache_K": 50, "retention_ratio": retention_ratio}
    wan.sample(apply(model, **settings)[0], 20)
    assert caching.actions(traces[0]) == ("C" * computed + "R" * 20)[:19] + "C"


def test_a_model_nobody_published_a_curve_for_is_told_what_to_do(apply, part, model):
    with pytest.raises(part("cache_core").StepCacheError, match="MagCache Calibrate") as refused:
        apply(model, "auto")
    assert "`calibration`" in str(refused.value)
    assert "dim 128" in str(refused.value)


def test_what_was_assumed_is_noted(wan, apply, model, traces):
    wan.sample(apply(model)[0], 12)
    (note,) = traces[0].methods[0].notes
    assert "wan2.1_t2v_1.3B" in note
    assert "50 steps" in note
    assert "shift 5" in note


A14B = ("wan2.2_t2v_A14B", "wan2.2_i2v_A14B")


def halves(curve):
    """The published schedule of a pair, split where its authors changed from high to low."""
    sigmas, high = native(curve), ENTRIES[curve]["high_noise_steps"]
    return sigmas[: high + 1], [*sigmas[high:], 0.0]


def errors(ratios):
    """What MagCache compares when every step is computed: a step's distance to ratio 1."""
    return pytest.approx([abs(1 - ratio) for ratio in ratios], abs=1e-5)


@pytest.mark.every_host
@pytest.mark.parametrize("curve", A14B)
@pytest.mark.parametrize("placed", [True, False], ids=["low_noise_model", "by sigmas"])
def test_each_expert_of_a_pair_goes_by_its_own_part(
    wan, caching, apply, model, traces, curve, placed
):
    other = wan.random_wan(seed=7, num_layers=1)
    if placed:
        experts = apply(model, curve, low_noise_model=other, **FREE)
    else:
        experts = [apply(each, curve, **FREE)[0] for each in (model, other)]
    for expert, sigmas in zip(experts, halves(curve), strict=True):
        sample_at(wan, expert, sigmas)
    high = ENTRIES[curve]["high_noise_steps"]
    for branch in ("cond", "uncond"):
        ratios = ENTRIES[curve]["cond"]
        found = [caching.metrics(trace, branch)[1:] for trace in traces]
        assert found[0] == errors(ratios[1:high])
        assert found[1] == errors(ratios[high + 1 :])
    assert ["high noise" in trace.model for trace in traces] == [True, False]
    assert ["low noise" in trace.model for trace in traces] == [False, True]


def test_the_place_on_the_node_counts_whatever_the_sigmas_are(wan, caching, apply, model, traces):
    """The low-noise expert, used for a whole schedule, keeps its own part of the curve."""
    curve = A14B[0]
    other = wan.random_wan(seed=7, num_layers=1)
    _, low = apply(model, curve, low_noise_model=other, **FREE)
    sample_at(wan, low, [*native(curve), 0.0])
    high = ENTRIES[curve]["high_noise_steps"]
    assert "low noise" in traces[0].model
    assert caching.metrics(traces[0])[high + 1 :] == errors(ENTRIES[curve]["cond"][high + 1 :])


def test_with_half_the_steps_two_ratios_are_multiplied(wan, caching, apply, model, traces):
    curve = "wan2.1_t2v_14B"
    sample_at(wan, apply(model, curve, **FREE)[0], [*native(curve)[::2], 0.0])
    ratios = ENTRIES[curve]["cond"]
    expected = [ratios[i] * ratios[i + 1] for i in range(1, 49, 2)]
    assert caching.metrics(traces[0])[1:] == errors(expected)


def test_steps_outside_the_calibrated_ones_are_told(wan, apply, model, traces):
    """The high-noise part of a curve, asked for the low-noise end of a schedule."""
    other = wan.random_wan(seed=7, num_layers=1)
    high, _ = apply(model, A14B[0], low_noise_model=other, **FREE)
    sample_at(wan, high, [*native(A14B[0]), 0.0])
    assert "outside the calibrated schedule" in " ".join(traces[0].methods[0].notes)


@pytest.mark.parametrize("preset", ["quality", "balanced", "fast"])
@pytest.mark.parametrize("curve", WHOLE)
def test_a_preset_is_the_published_one(wan, apply, model, traces, curve, preset):
    threshold, skips, retention = ENTRIES[curve]["presets"][preset]
    sample_at(wan, apply(model, curve, preset)[0], [*native(curve), 0.0])
    method = traces[0].methods[0]
    assert (method.settings["threshold"], method.settings["most_skips"]) == (threshold, skips)
    settings = {"magcache_thresh": threshold, "magcache_K": skips, "retention_ratio": retention}
    assert method.plan[:-1] == authors_loop(ENTRIES[curve]["cond"], **settings)[:-1]
    assert method.source == ENTRIES[curve]["presets"]["source"]


def test_a_model_of_a_published_shape_has_its_curve_by_itself(
    wan, apply, part, traces, monkeypatch
):
    monkeypatch.setitem(part("nodes.host.identity").SIZES, (128, 1), "1.3B")
    model = wan.random_wan(num_layers=1)
    sample_at(wan, apply(model, "auto", **FREE)[0], [*native("wan2.1_t2v_1.3B"), 0.0])
    assert "Wan 2.1 T2V 1.3B" in traces[0].model
    assert "wan2.1_t2v_1.3B" in traces[0].methods[0].notes[0]


@pytest.mark.parametrize("preset", ["balanced", "custom"])
def test_a_curve_of_the_nearest_model_is_said_to_be_borrowed(
    wan, apply, part, traces, monkeypatch, preset
):
    monkeypatch.setitem(part("nodes.host.identity").SIZES, (128, 1), "1.3B")
    model = wan.random_wan(num_layers=1, in_dim=36)
    wan.sample(apply(model, "auto", preset)[0], 12)
    method = traces[0].methods[0]
    assert "borrowed" in " ".join([method.source, *method.notes])
    assert "wan2.1_t2v_1.3B" in " ".join([method.source, *method.notes])
