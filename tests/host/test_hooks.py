"""Hooks of the host: LoRAs and patches on single conditions, with strengths that follow a schedule.

Whatever was computed with other weights is another model's, and never reused.
"""

from importlib import import_module

import pytest
from turns import in_turn

STEPS = 8


@pytest.fixture
def hooked(host):
    return import_module("hooked")


def kinds(hooked):
    """Conditions by kind, made anew each time: hooks of the host keep where they are."""
    ending, patch = hooked.keyframes((1.0, 0.0), (0.0, 0.55)), hooked.patching()
    return {
        "LoRA on cond": hooked.on_cond(hooked.lora()),
        "LoRA on uncond": hooked.on_uncond(hooked.lora()),
        "LoRA on both branches": hooked.pair(hooked.lora()),
        "LoRA that ends": hooked.pair(hooked.on_schedule(hooked.lora(), ending)),
        "LoRA on cond that ends": hooked.on_cond(hooked.on_schedule(hooked.lora(), ending)),
        "LoRA on uncond that ends": hooked.on_uncond(hooked.on_schedule(hooked.lora(), ending)),
        "LoRA that fades": hooked.pair(hooked.on_schedule(hooked.lora(), hooked.ramp())),
        "two LoRAs on two masked prompts": hooked.one_each(),
        "LoRA on a mask, default for the rest": hooked.with_default(),
        "block patch on cond": hooked.on_cond(patch),
    }


ROWS = {
    "LoRA on cond": [2, 0, 2, 0, 2, 0, 2, 0],
    "LoRA on uncond": [2, 0, 2, 0, 2, 0, 2, 0],
    "LoRA on both branches": [2, 0, 2, 0, 2, 0, 2, 0],
    "LoRA that ends": [2, 0, 2, 0, 2, 2, 0, 2],
    "LoRA on cond that ends": [2, 0, 2, 0, 2, 2, 0, 2],
    "LoRA on uncond that ends": [2, 0, 2, 0, 2, 1, 2, 0],
    "LoRA that fades": [2, 0, 2, 2, 0, 2, 0, 2],
    "two LoRAs on two masked prompts": [3, 0, 3, 0, 3, 0, 3, 0],
    "LoRA on a mask, default for the rest": [3, 0, 3, 0, 3, 0, 3, 0],
    "block patch on cond": [2, 0, 2, 0, 2, 0, 2, 0],
}
"""By kind: the rows that are computed while every other evaluation may be reused. The one that
ends does so at the sixth evaluation; the host runs what has hooks of its own by itself."""

SCHEDULED = [kind for kind in ROWS if kind.endswith(("ends", "fades"))]


@pytest.mark.parametrize("kind, level, method", in_turn(ROWS))
def test_nothing_of_other_weights_is_reused(
    model, passes, hooked, traces, kind, level, method, tell
):
    weights = hooked.fingerprint(model)
    before, conditions = weights(), kinds(hooked)[kind]
    seen = passes.assert_composes(model, method, level, STEPS, {"weights": weights}, **conditions)
    assert seen.computed == ROWS[kind]
    assert weights() == before
    allowed = {"changed input", "no history"} if kind in SCHEDULED else set()
    assert set(traces[-1].failsafes()) <= allowed
    reuse = "yes, computed at each change" if kind in SCHEDULED else "yes"
    tell("Neighbours", f"Hooks: {kind}", result="identical", reuse=reuse)


@pytest.mark.parametrize("level", ["output", "hidden"])
def test_values_of_other_weights_take_no_room(
    wan, model, passes, hooked, traces, level
):
    for kind in ("LoRA on both branches", "LoRA that fades"):
        cached = passes.holding("TeaCache", model, level)
        wan.sample(cached, 20, **kinds(hooked)[kind])
    constant, fading = traces
    assert constant.peak_bytes == fading.peak_bytes > 0


def test_weights_that_change_ring_no_alarm(wan, model, caching, passes, hooked, traces):
    """A LoRA may change the magnitude of what the model puts out: that is no collapse."""
    hooks = hooked.on_schedule(hooked.lora(strength=400.0), hooked.keyframes((0, 0), (1, 0.5)))
    wan.sample(passes.holding("TeaCache", model, "hidden"), 12, **hooked.pair(hooks))
    assert caching.actions(traces[0]) == "CR" * 6
    assert traces[0].notes == []


@pytest.mark.parametrize("kind", ROWS)
def test_cfg_cache_with_hooks(wan, model, passes, hooked, guiding, traces, kind, tell):
    conditions, weights = kinds(hooked)[kind], hooked.fingerprint(model)
    if kind in SCHEDULED:
        with passes.followed(model, weights) as (clone, seen):
            cached = guiding.guided(clone, 3)
            assert (wan.sample(model, 7, **conditions) == wan.sample(cached, 7, **conditions)).all()
        assert seen.computed == [2] * 7
        assert any("keyframes" in note and "both branches run" in note for note in traces[0].notes)
        tell("Neighbours", f"Hooks: {kind}", cfg_cache="not while weights change, said")
        return
    seen = guiding.assert_uncond_is_made_of_cond(model, 7, {"weights": weights}, **conditions)
    rows = ROWS[kind][0]
    assert seen.computed == [rows, rows - 1, rows - 1] * 2 + [rows]
    assert traces[0].notes == []
    tell("Neighbours", f"Hooks: {kind}", cfg_cache="yes")
