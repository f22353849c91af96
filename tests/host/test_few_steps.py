"""Samplings of few steps are computed whole unless the user says otherwise."""

import logging
from importlib import import_module

import pytest
import torch

METHODS = ("FBCache", "TeaCache", "MagCache")
FEW = "too few steps"


@pytest.fixture(scope="session")
def watching(host):
    return import_module("watching")


@pytest.fixture(scope="module")
def model(wan):
    return wan.random_wan(num_layers=2)


@pytest.fixture
def cached(caching, part):
    """A method that reuses whatever it may, with ``on_few_steps`` as given, or as by default."""

    def on(model, name="MagCache", **options):
        method = part("cache_core").Method
        policy = part("cache_core").FBCache(1.0) if name == "FBCache" else caching.static(name)
        chosen = part("cache_core").Options(**options)
        recognised = part("nodes.host").recognise(model)
        attach = part("nodes.host").attach
        return attach(model, recognised, method(policy, caching.UNGUARDED), chosen)

    return on


@pytest.mark.every_host
@pytest.mark.parametrize("level", ["output", "hidden"])
@pytest.mark.parametrize("name", METHODS)
def test_by_default_everything_is_computed_and_said(
    wan, caching, model, cached, traces, caplog, name, level
):
    with caplog.at_level(logging.INFO):
        latents = wan.sample(cached(model, name, cache_level=level), 6)
    assert torch.equal(latents, wan.sample(model, 6))
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == "C" * 6
    assert set(caching.reasons(traces[0])) == {FEW}
    assert traces[0].failsafes() == {}
    assert traces[0].peak_bytes == 0
    assert "6 steps are fewer than 10" in " ".join(traces[0].notes)
    lines = [r.getMessage() for r in caplog.records if "fewer than 10" in r.getMessage()]
    assert len(lines) == 2
    assert "everything is computed" in lines[0]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("wish", "noted"), [("warn", True), ("allow", False)])
def test_warn_and_allow_reuse(wan, caching, model, cached, traces, caplog, name, wish, noted):
    with caplog.at_level(logging.INFO):
        wan.sample(cached(model, name, on_few_steps=wish), 6)
    assert caching.actions(traces[0]) == "CRRRRR"
    assert ("fewer than 10" in caplog.text) is noted
    assert bool(traces[0].notes) is noted


LENGTHS = {  # steps, cfg, few
    "1 step": (1, 5.0, True),
    "9 steps": (9, 5.0, True),
    "10 steps": (10, 5.0, False),
    "12 steps at CFG 1": (12, 1.0, True),
    "13 steps at CFG 1": (13, 1.0, False),
    "12 steps at CFG 1.5": (12, 1.5, False),
}


@pytest.mark.parametrize(("steps", "cfg", "few"), LENGTHS.values(), ids=list(LENGTHS))
def test_what_few_is(wan, caching, model, cached, traces, steps, cfg, few):
    wan.sample(cached(model), steps, cfg)
    assert (set(caching.reasons(traces[0])) == {FEW}) is few
    assert ("R" in caching.actions(traces[0])) is not few


SCHEDULERS = ("simple", "normal", "beta", "sgm_uniform", "kl_optimal")
"""Those that start at full noise: ddim_uniform does not, and looks like a part of more steps."""


@pytest.mark.parametrize("split", [4, 10, 16])
@pytest.mark.parametrize("shift", [3.0, 8.0])
def test_a_part_of_a_long_schedule_is_not_few_steps(
    wan, caching, model, cached, traces, split, shift
):
    """KSampler (Advanced): what counts is the schedule that both halves belong to."""
    both = cached(shifted(model, shift))
    half = wan.sample(both, 20, start_step=0, last_step=split)
    wan.sample(
        both, 20, latent=half, start_step=split, last_step=20,
        disable_noise=True, force_full_denoise=True,
    )  # fmt: skip
    assert [trace.steps for trace in traces] == [split, 20 - split]
    assert [caching.actions(trace) for trace in traces] == [
        "C" + "R" * (steps - 1) for steps in (split, 20 - split)
    ]


@pytest.mark.parametrize("split", [2, 4])
def test_a_part_of_a_short_schedule_is_few_steps(wan, caching, model, cached, traces, split):
    both = cached(model)
    half = wan.sample(both, 8, start_step=0, last_step=split)
    wan.sample(
        both, 8, latent=half, start_step=split, last_step=8,
        disable_noise=True, force_full_denoise=True,
    )  # fmt: skip
    assert [set(caching.reasons(trace)) for trace in traces] == [{FEW}, {FEW}]


@pytest.mark.every_host
def test_denoising_in_part_counts_the_whole_schedule(wan, caching, model, cached, traces):
    """6 steps at denoise 0.3 are the end of a schedule of 20."""
    wan.sample(cached(model), 6, denoise=0.3)
    assert traces[0].steps == 6
    assert caching.actions(traces[0]) == "CRRRRR"


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_whole_schedule_is_counted_whatever_its_spacing(
    wan, caching, model, cached, traces, scheduler
):
    for steps in (9, 11):
        wan.sample(cached(model), steps, scheduler=scheduler)
    planned = [trace.steps for trace in traces]
    few = [set(caching.reasons(trace)) == {FEW} for trace in traces]
    assert few == [steps < 10 for steps in planned]


def shifted(model, shift):
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    return ModelSamplingSD3().patch(model, shift=shift)[0]


def test_the_option_comes_from_the_node_and_is_off_in_old_workflows(part):
    node = part("nodes.options").StepCacheOptions
    before = (0.0, 1.0, -1, -1, -1, "cond", "auto", False)
    assert node.execute(*before).args[0].on_few_steps == "off"
    for wish in ("off", "warn", "allow"):
        assert node.execute(*before, wish).args[0].on_few_steps == wish
    with pytest.raises(part("cache_core").StepCacheError, match="on_few_steps"):
        node.execute(*before, "maybe")


def test_a_node_on_a_short_sampling_says_so_on_its_face(
    wan, part, watching, model, monkeypatch, traces
):
    feedback, shown = part("nodes.host.feedback"), []
    monkeypatch.setattr(feedback, "show", lambda text, node: shown.append((node, text)))
    node = part("nodes.teacache").ApplyTeaCache
    wan.sample(watching.execute(node, node_id="12", model=model)[0], 6)
    assert shown[-1][0] == "12"
    assert "6 steps are fewer than 10: everything is computed" in shown[-1][1]
    assert "0 of 6 reused" in shown[-1][1]


def test_an_idle_run_waits_for_nothing(wan, watching, model, cached, monkeypatch):
    """Nothing is decided, so nothing has to be read, whatever the method."""
    reads = watching.counted_reads(monkeypatch)
    plain, before = watching.watched(model, reads)
    seen, during = watching.watched(model, reads)
    for name in METHODS:
        before.clear()
        during.clear()
        wan.sample(plain, 6)
        wan.sample(cached(seen, name), 6)
        assert [one - other for one, other in zip(during, before, strict=True)] == [0] * 6, name
