"""Every option has the effect its words promise."""

import logging
from math import isclose

import pytest
import torch

STEPS = 10
GUARDS = {
    "none": ({}, "CRRRRRRRRR"),
    "warm-up": ({"warmup_steps": 3}, "CCCRRRRRRR"),
    "last": ({"last_steps": 2}, "CRRRRRRRCC"),
    "both": ({"warmup_steps": 4, "last_steps": 4}, "CCCCRRCCCC"),
    "skips": ({"max_consecutive_skips": 2}, "CRRCRRCRRC"),
    "alternating": ({"alternating": True}, "CRCRCRCRCR"),
    "alternating from the third": ({"alternating": True, "warmup_steps": 3}, "CCCRCRCRCR"),
    "mask": ({"step_mask": "1101 0010 .."}, "CCRCRRCRRR"),
    "mask of ranges": ({"step_mask": "1-2, 9"}, "CCRRRRRRCR"),
    "mask in a window": (
        {"step_mask": "1101 0010 00", "start_percent": 0.25, "end_percent": 0.9},
        "CCCCRRCRRC",
    ),
    "no skips": ({"max_consecutive_skips": 0}, "CCCCCCCCCC"),
    "all": (
        {"warmup_steps": 2, "last_steps": 1, "max_consecutive_skips": 3},
        "CCRRRCRRRC",
    ),
}


@pytest.mark.parametrize(("options", "expected"), GUARDS.values(), ids=list(GUARDS))
def test_guards(wan, caching, model, traces, options, expected):
    wan.sample(caching.cached(model, **options), STEPS)
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == expected


def test_guards_left_open_are_the_presets(wan, caching, part, model, traces):
    preset = part("cache_core.config").GuardDefaults(0.25, 2, 1)
    wan.sample(caching.cached(model, guards=preset), STEPS)
    wan.sample(caching.cached(model, guards=preset, warmup_steps=1, last_steps=0), STEPS)
    assert [caching.actions(trace) for trace in traces] == ["CCCRCRCRCC", "CRCRCRCRCR"]


@pytest.mark.parametrize("level", ["output", "hidden"])
def test_a_threshold_of_0_does_not_reuse_even_where_nothing_changed(
    wan, caching, model, traces, level
):
    pairs = wan.evaluated_twice(caching.cached(model, 0.0, level), steps=3)
    assert caching.actions(traces[0]) == "C" * 6
    assert [record.metric for record in traces[0].records if record.evaluation == 1] == [0.0, 0.0]
    assert all(torch.equal(one, other) for one, other in pairs)


def test_change_is_measured_since_the_last_computed_evaluation(wan, caching, model, traces):
    wan.evaluated_twice(caching.cached(model, 1e-6), steps=4)
    assert caching.actions(traces[0]) == "CR" * 4
    again = [record.metric for record in traces[0].records if record.evaluation % 2]
    assert again == [0.0] * 8


def test_a_computed_step_says_which_guard_it_was(wan, caching, model, traces):
    options = {"warmup_steps": 2, "last_steps": 1, "max_consecutive_skips": 2}
    wan.sample(caching.cached(model, **options), 8)
    wan.sample(caching.cached(model, 0.0), 3)
    warm, reused, most, last = "warm-up", "below threshold", "max consecutive skips", "last steps"
    expected = [warm, warm, reused, reused, most, reused, reused, last]
    assert caching.reasons(traces[0]) == caching.reasons(traces[0], "uncond") == expected
    assert caching.reasons(traces[1]) == ["first evaluation", *["above threshold"] * 2]


def sampled_in_halves(wan, model, split=5):
    """KSampler (Advanced) twice: the first leaves its noise, the second goes on from there."""
    half = wan.sample(model, STEPS, start_step=0, last_step=split)
    return wan.sample(
        model, STEPS, latent=half, start_step=split, last_step=STEPS,
        disable_noise=True, force_full_denoise=True,
    )  # fmt: skip


def within(sigma, most, least):
    """In the window; a step exactly at its start is, one exactly at its end is not."""
    at_end = isclose(sigma, least, rel_tol=1e-4)
    return not at_end and (least < sigma < most or isclose(sigma, most, rel_tol=1e-4))


WINDOWS = [(0.0, 0.1), (0.0, 0.4), (0.3, 1.0), (0.25, 0.75), (0.6, 0.9), (0.9, 1.0)]


@pytest.mark.every_host
@pytest.mark.parametrize("level", ["output", "hidden"])
@pytest.mark.parametrize(("start", "end"), WINDOWS)
def test_a_window_means_the_same_in_a_whole_and_a_split_sampling(
    wan, caching, model, traces, level, start, end
):
    percent_to_sigma = model.get_model_object("model_sampling").percent_to_sigma
    sigmas = wan.schedule(model, STEPS)[:-1].tolist()
    most, least = percent_to_sigma(start), percent_to_sigma(end)
    inside = [within(sigma, most, least) for sigma in sigmas]
    assert 0 < sum(inside) < STEPS

    cached = caching.cached(model, level=level, start_percent=start, end_percent=end)
    wan.sample(cached, STEPS)
    sampled_in_halves(wan, cached)
    whole, *halves = traces
    split = [record for half in halves for record in half.records]
    for records, firsts in ((whole.records, {0}), (split, {0, 5})):
        steps = [record for record in records if record.branch == "cond"]
        assert [record.sigma for record in steps] == pytest.approx(sigmas)
        for index, record in enumerate(steps):
            outside = record.reason.value == "outside window"
            assert outside is not inside[index]
            assert (record.action.value == "reuse") is (inside[index] and index not in firsts)


@pytest.mark.every_host
def test_the_second_of_two_samplings_starts_anew(wan, caching, model, traces):
    sampled_in_halves(wan, caching.cached(model, warmup_steps=2, last_steps=1))
    assert [caching.actions(trace) for trace in traces] == ["CCRRC", "CCRRC"]
    assert [trace.steps for trace in traces] == [5, 5]


@pytest.mark.every_host
@pytest.mark.parametrize(("verbose", "lines"), [(True, 2 * STEPS), (False, 0)])
def test_verbose_logs_every_step_and_branch(wan, caching, model, traces, caplog, verbose, lines):
    with caplog.at_level(logging.INFO):
        wan.sample(caching.cached(model, verbose=verbose), STEPS)
    logged = [r.getMessage() for r in caplog.records if f"/{STEPS}, sigma" in r.getMessage()]
    assert len(logged) == lines
    if verbose:
        assert logged[0].startswith(f"Wan Step Cache: step 1/{STEPS}, sigma 1.0000, ")
        assert "reuse (below threshold, metric 0." in logged[-1]


TOKENS = 3 * 4 * 4
FEATURES = TOKENS // 8
"""Every 8th token of one branch is compared."""


@pytest.mark.parametrize(
    ("level", "kept", "per_branch"),
    [
        ("auto", "output", lambda dim: 16 * 3 * 8 * 8),
        ("output", "output", lambda dim: 16 * 3 * 8 * 8),
        ("hidden", "hidden", lambda dim: TOKENS * dim),
    ],
    ids=["auto", "output", "hidden"],
)
def test_cache_level_says_what_is_kept(wan, caching, model, traces, level, kept, per_branch):
    wan.sample(caching.cached(model, level=level), 4)
    assert traces[0].level == kept
    assert traces[0].peak_bytes == 4 * (2 * per_branch(wan.DIM) + FEATURES * wan.DIM)


def test_the_two_levels_differ_when_they_reuse(wan, caching, model):
    output, hidden = (wan.sample(caching.cached(model, level=lv)) for lv in ("output", "hidden"))
    assert not torch.equal(output, hidden)


EFFECTS = {  # every widget: a value that is not its default, and what it changes of a run
    "start_percent": (0.5, "actions"),
    "end_percent": (0.5, "actions"),
    "warmup_steps": (5, "actions"),
    "last_steps": (4, "actions"),
    "max_consecutive_skips": (1, "actions"),
    "alternating": (True, "actions"),
    "step_mask": ("1-3, 9", "actions"),
    "cfg_mode": ("separate", "metrics"),
    "cache_level": ("hidden", "level"),
    "forecast": ("hold", "latents"),
    "max_order": (2, "latents"),
    "time_axis": ("step", "latents"),
    "correction": ("off", "latents"),
    "verbose": (True, "log"),
}
ELSEWHERE = {"cache_device", "cache_dtype", "on_few_steps"}
"""Widgets whose effect needs another run than this; they have tests of their own."""


@pytest.fixture
def rendered(wan, caching, part, model, traces, caplog):
    """What a run with these widgets of the Options node is like."""
    from watching import execute

    def render(**widgets):
        caplog.clear()
        guards = part("cache_core.config").GuardDefaults(0.0, 1, 3, 2)
        (options,) = execute(part("nodes.options").StepCacheOptions, **widgets)
        made = part("cache_core").Method(part("cache_core").FBCache(0.8), guards)
        attach, recognise = part("nodes.host").attach, part("nodes.host").recognise
        with caplog.at_level(logging.INFO):
            latents = wan.sample(attach(model, recognise(model), made, options), 12)
        trace = traces.pop()
        return {
            "actions": caching.actions(trace),
            "metrics": [record.metric for record in trace.records if record.branch == "uncond"],
            "level": trace.level,
            "latents": latents.tolist(),
            "log": sum("sigma" in record.getMessage() for record in caplog.records),
        }

    return render


def test_every_widget_of_the_node_reaches_the_run(rendered, part):
    schema = part("nodes.options").StepCacheOptions.define_schema()
    assert {widget.id for widget in schema.inputs} == {*EFFECTS, *ELSEWHERE}
    before = rendered()
    assert "R" in before["actions"]
    for name, (value, changes) in EFFECTS.items():
        assert rendered(**{name: value})[changes] != before[changes], name
