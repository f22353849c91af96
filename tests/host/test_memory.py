"""What the cache holds is known beforehand, told to the host, and never in the way of a render."""

import logging
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch

STEPS = 6
LEVELS, DTYPES, DEVICES = ("output", "hidden"), ("model", "bf16", "fp16", "fp8"), ("gpu", "cpu")
METHODS = ("FBCache", "TeaCache", "MagCache", "TaylorSeer", "AdaCache", "CustomCache", "EasyCache")
SIZE = (3, 8, 10)
WITHIN = 0.02


@pytest.fixture(scope="module")
def model(wan):
    """Two blocks are enough here, and fast."""
    return wan.random_wan(num_layers=2)


@pytest.fixture(scope="module")
def plain(wan, model):
    """What the render is without the cache."""
    return wan.sample(model, STEPS)


@pytest.fixture
def expected(part, monkeypatch):
    """The footprints of the samplings during the test, in order."""
    memory = part("nodes.host.memory")
    known, footprint = [], memory.footprint
    keep = lambda *args: known.append(footprint(*args)) or known[-1]  # noqa: E731
    monkeypatch.setattr(memory, "footprint", keep)
    return known


@pytest.fixture
def demanded(monkeypatch):
    """The bytes that the host sets aside for each sampling, and the least it can do with."""
    from comfy import model_management

    told, load = [], model_management.load_models_gpu

    def loading(*args, memory_required=0, minimum_memory_required=None, **kwargs):
        told.append((memory_required, minimum_memory_required))
        both = {"memory_required": memory_required}
        return load(*args, **both, minimum_memory_required=minimum_memory_required, **kwargs)

    monkeypatch.setattr(model_management, "load_models_gpu", loading)
    return told


@pytest.fixture
def free_memory(part, monkeypatch):
    """``free_memory(bytes)``: so much is free, for the pack; the returned list counts its calls."""

    def pretend(free):
        asked = []

        def settle(run, patcher):
            device = patcher.load_device
            stand_in = SimpleNamespace(
                load_device=device, get_free_memory=lambda on: asked.append(on) or free
            )
            return part("nodes.host.memory").settle(run, stand_in)

        monkeypatch.setattr(part("nodes.host.wrappers"), "settle", settle)
        return asked

    return pretend


@pytest.fixture
def copies(part, monkeypatch):
    """The copies of values to RAM during the test."""
    stream = part("cache_core.keeping").SideStream
    made, copy = [], stream.copy

    def copying(self, sources, targets):
        made.append(sources)
        return copy(self, sources, targets)

    monkeypatch.setattr(stream, "copy", copying)
    return made


def reusing(caching, name, model, level="output", **options):
    """The model under a method that reuses from the third step on."""
    options = {"level": level, "warmup_steps": 2, **options}
    if name == "FBCache":
        return caching.cached(model, **options)
    if name in caching.STATIC:
        return caching.with_policies(model, caching.static(name), **options)
    return caching.applied(name, model, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", METHODS)
def test_the_peak_is_what_the_formula_says(
    wan, caching, model, traces, expected, name, level, dtype
):
    cached = reusing(caching, name, model, level, cache_dtype=dtype, cache_device="cpu")
    wan.sample(cached, STEPS, size=SIZE)
    assert "R" in caching.actions(traces[0])
    assert traces[0].peak_bytes == pytest.approx(expected[0].total, rel=WITHIN)
    assert traces[0].failsafes() == {}


OTHERWISE = {
    "no guidance": ({"cfg": 1.0}, {}),
    "batch": ({"batch": 2}, {}),
    "separate": ({}, {"cfg_mode": "separate"}),
    "padded": ({"size": (2, 7, 9)}, {}),
    "hold": ({}, {"forecast": "hold"}),
    "order 3": ({"steps": 9}, {"forecast": "taylor", "max_order": 3, "warmup_steps": 4}),
    "lcm": ({"sampler": "lcm"}, {}),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("way", "options"), OTHERWISE.values(), ids=list(OTHERWISE))
@pytest.mark.parametrize("name", ["FBCache", "EasyCache"])
def test_the_formula_knows_what_else_counts(
    wan, caching, model, traces, expected, name, level, way, options
):
    wan.sample(reusing(caching, name, model, level, **options), **{"steps": STEPS, **way})
    assert traces[0].peak_bytes == pytest.approx(expected[0].total, rel=WITHIN)


@pytest.mark.parametrize("dtype", ["model", "fp8"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_model_that_computes_in_bf16_is_kept_in_bf16(
    wan, caching, traces, expected, level, dtype
):
    half = wan.random_wan(torch.bfloat16, num_layers=2)
    half.model.manual_cast_dtype = torch.bfloat16
    wan.sample(reusing(caching, "FBCache", half, level, cache_dtype=dtype), STEPS, size=SIZE)
    assert traces[0].peak_bytes == pytest.approx(expected[0].total, rel=WITHIN)


@pytest.mark.every_host
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("level", LEVELS)
def test_the_host_leaves_room_for_what_the_cache_holds(
    wan, caching, model, traces, expected, demanded, level, device
):
    wan.sample(model, STEPS)
    wan.sample(reusing(caching, "FBCache", model, level, cache_device=device), STEPS)
    (without, least), (told, least_told) = demanded
    on_device = expected[0].policies if device == "cpu" else traces[0].peak_bytes
    assert told - without == pytest.approx(on_device, rel=WITHIN)
    assert least_told - least == pytest.approx(on_device / 2, rel=WITHIN)


def bypassed(caching, model):
    return model


def few_steps(caching, model):
    return caching.cached(model, on_few_steps="off")


@pytest.mark.parametrize("way", [bypassed, few_steps], ids=lambda way: way.__name__)
def test_where_nothing_is_kept_the_host_hears_nothing(wan, caching, model, demanded, way):
    wan.sample(model, STEPS)
    wan.sample(way(caching, model), STEPS)
    assert demanded[0] == demanded[1]


def test_with_context_windows_the_host_hears_nothing(wan, caching, model, traces, demanded):
    """How many windows there will be depends on the schedule of each step."""
    nodes = pytest.importorskip("comfy_extras.nodes_context_windows")
    windowed = nodes.WanContextWindowsManualNode.execute(
        model, context_length=13, context_overlap=5, context_schedule="standard_static",
        context_stride=1, closed_loop=False, fuse_method="pyramid", freenoise=False,
    ).args[0]  # fmt: skip
    for each in (windowed, caching.cached(windowed)):
        wan.sample(each, STEPS, size=(7, 8, 8))
    assert demanded[0] == demanded[1] and "R" in caching.actions(traces[0])


def not_a_wan(part, patch):
    patch(part("nodes.host.memory"), "is_wan", lambda model: False)


def broken(part, patch):
    def fail(*args):
        raise KeyError("on purpose")

    patch(part("nodes.host.memory"), "sizes_of", fail)


@pytest.mark.parametrize("sabotage", [not_a_wan, broken])
def test_where_nobody_can_tell_the_cache_works_all_the_same(
    wan, caching, part, model, traces, demanded, monkeypatch, sabotage
):
    cached = caching.cached(model)
    expected = wan.sample(cached, STEPS)
    wan.sample(model, STEPS)
    sabotage(part, monkeypatch.setattr)
    assert torch.equal(wan.sample(cached, STEPS), expected)
    assert demanded[1] == demanded[2]
    assert "R" in caching.actions(traces[1])


@pytest.mark.every_host
@pytest.mark.parametrize("name", ["FBCache", "EasyCache"])
@pytest.mark.parametrize("level", LEVELS)
def test_values_kept_in_ram_are_the_same_values(wan, caching, part, model, traces, name, level):
    found = [
        wan.sample(reusing(caching, name, model, level, cache_device=device), 8)
        for device in DEVICES
    ]
    assert torch.equal(*found) and "R" in caching.actions(traces[0])
    assert [trace.as_json()["cache_device"] for trace in traces] == list(DEVICES)
    said = [part("cache_core.report").saving(trace) for trace in traces]
    assert [" MiB in RAM" in text for text in said] == [False, True]


@pytest.mark.parametrize(("device", "kept"), [("auto", "cpu"), ("gpu", "gpu"), ("cpu", "cpu")])
def test_auto_keeps_values_in_ram_when_memory_is_short(
    wan, caching, model, traces, expected, copies, free_memory, device, kept
):
    cached = reusing(caching, "FBCache", model, cache_device=device)
    first = wan.sample(cached, STEPS)
    copies.clear()
    asked = free_memory(2 * expected[0].values - 1)
    assert torch.equal(wan.sample(cached, STEPS), first)
    assert len(asked) == 1
    assert len(copies) == (4 if kept == "cpu" else 0)
    assert [trace.keeping.device for trace in traces] == ["gpu" if device == "auto" else kept, kept]
    notes = [note for trace in traces for note in trace.notes]
    assert [note.split(":")[0] for note in notes] == (
        ["values are kept in RAM"] if device == "auto" else []
    )


def test_auto_keeps_values_on_the_device_while_there_is_room(
    wan, caching, model, traces, expected, free_memory
):
    cached = reusing(caching, "FBCache", model)
    wan.sample(cached, STEPS)
    free_memory(2 * expected[0].values)
    wan.sample(cached, STEPS)
    assert traces[1].keeping.device == "gpu" and traces[1].notes == []


NARROW = {"bf16": 2e-3, "fp16": 2.5e-4, "fp8": 2.5e-2}
"""Relative error in the 2-norm; measured on these values: 0.0017, 0.00022 and 0.022."""


@pytest.fixture(scope="module")
def trained(host):
    """The trained tiny Wan, on the schedule it was trained for."""
    import comfy.sd
    from checkout import ROOT
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    path = ROOT / "tests" / "assets" / "tiny_wan" / "tiny_wan.safetensors"
    return ModelSamplingSD3().patch(comfy.sd.load_diffusion_model(str(path)), shift=5.0)[0]


@pytest.mark.parametrize("level", LEVELS)
def test_narrow_values_of_a_trained_model_are_close_to_what_was_computed(
    wan, caching, part, trained, monkeypatch, level
):
    keeping, history = part("cache_core.keeping"), part("cache_core.store").History
    fill, errors = history.fill, {name: [] for name in NARROW}

    def watched(self, position, like, write, signature):
        fill(self, position, like, write, signature)
        exact = self.values[-1].reshape(-1, like.shape[-1])
        for dtype, found in errors.items():
            slot = keeping.Slot(like, keeping.Keeping("cpu", dtype))
            slot.write(write)
            rows = slot.rows(slice(None), torch.device("cpu"))
            found.append(float((rows - exact).norm() / exact.norm()))

    monkeypatch.setattr(history, "fill", watched)
    prompt = [[import_module("tiny_wan.words").embed("red disc right fast"), {}]]
    wan.sample(caching.cached(trained, 0.0, level), 12, size=(5, 16, 16), positive=prompt)
    for dtype, found in errors.items():
        assert len(found) == 24
        assert NARROW[dtype] / 4 < max(found) < NARROW[dtype]


FORECASTS = {
    "hold": ("FBCache", {"forecast": "hold"}, "euler"),
    "taylor": ("FBCache", {"forecast": "taylor"}, "euler"),
    "corrected": ("FBCache", {}, "euler"),
    "relative to the input": ("EasyCache", {"forecast": "hold"}, "euler"),
    "denoised": ("FBCache", {}, "lcm"),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("way", FORECASTS.values(), ids=list(FORECASTS))
def test_every_forecast_works_with_narrow_values(wan, caching, model, traces, way, dtype, device):
    name, options, sampler = way
    found = [
        wan.sample(
            reusing(caching, name, model, cache_dtype=kept, cache_device=device, **options),
            *(8, 1.0),
            sampler=sampler,
        )
        for kept in ("model", dtype)
    ]
    assert [caching.actions(trace).count("R") > 2 for trace in traces] == [True, True]
    assert traces[1].failsafes() == {} and found[1].dtype == found[0].dtype
    error = float((found[1] - found[0]).norm() / found[0].norm())
    assert 0 < error < 2 * NARROW[dtype]


def runs_out_of_memory(part, patch, at):
    """No room for what is kept the n-th time."""
    keeping, calls = part("cache_core.keeping"), []
    pack = keeping.pack

    def packing(*args):
        calls.append(1)
        if len(calls) == at:
            raise torch.OutOfMemoryError("on purpose")
        pack(*args)

    patch(keeping, "pack", packing)


@pytest.mark.every_host
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("at", [1, 2, 6])
def test_a_render_that_runs_out_of_memory_is_computed_from_there_on(
    wan, caching, part, model, traces, monkeypatch, caplog, level, device, at
):
    runs_out_of_memory(part, monkeypatch.setattr, at)
    outside, given = caching.seeing(model)
    cached = caching.cached(outside, level=level, cache_device=device, max_consecutive_skips=1)
    inside, computed = caching.seeing(cached)
    wan.sample(inside, 8)
    story = {1: "C" * 8, 2: "C" * 8, 6: "CRCRCCCC"}[at]
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == story
    after = len(story.rstrip("C")) + 1
    assert len(given) == 8
    for told, made in zip(given[after:], computed[after - 8 :], strict=True):
        assert torch.equal(told.latent, made.latent) and torch.equal(told.output, made.output)
    assert caching.reasons(traces[0])[after:] == ["out of memory"] * (8 - after)
    assert list(traces[0].failsafes()) == ["out of memory"]
    assert [note.split(":")[0] for note in traces[0].notes] == [
        "out of memory while keeping values"
    ]
    told = [r for r in caplog.records if "wan_step_cache" in r.name and r.levelname == "WARNING"]
    assert len(told) == 1


@pytest.mark.parametrize("level", LEVELS)
def test_a_render_that_never_had_memory_for_the_cache_is_that_without_it(
    wan, caching, part, model, plain, monkeypatch, level
):
    def no_room(*args, **kwargs):
        raise torch.OutOfMemoryError("on purpose")

    monkeypatch.setattr(part("cache_core.keeping").Slot, "_buffers", no_room)
    assert torch.equal(wan.sample(caching.cached(model, level=level), STEPS), plain)


@pytest.mark.every_host
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("level", LEVELS)
def test_it_works_with_weights_that_the_host_keeps_in_low_vram(
    wan, caching, model, traces, monkeypatch, level, device
):
    from comfy.model_management import LoadedModel

    load = LoadedModel.model_load
    starved = wan.random_wan(num_layers=2)
    monkeypatch.setattr(
        LoadedModel, "model_load", lambda self, room=0, **how: load(self, 0.1, **how)
    )
    found = [
        wan.sample(reusing(caching, "FBCache", m, level, cache_device=device), STEPS)
        for m in (starved, model)
    ]
    assert starved.model.model_lowvram
    assert torch.equal(*found)
    assert [caching.actions(trace) for trace in traces] == ["CCRRRR"] * 2


def test_the_plan_says_what_each_level_takes(wan, caching, model, caplog):
    """Two branches, two values each: 16 channels of 2x32x32, or 512 tokens of the model's dim."""
    cached = caching.with_policies(model, caching.static("MagCache"), warmup_steps=2)
    with caplog.at_level(logging.INFO):
        wan.sample(cached, 16, size=(2, 32, 32))
    output, hidden = 4 * 16 * 2 * 32 * 32 * 4, 4 * (2 * 16 * 16) * wan.DIM * 4
    output, hidden = (f"{size / 2**20:.1f} MiB" for size in (output, hidden))
    told = f"keeps {output} at output level (hidden level: {hidden})"
    assert sum(told in line for line in caplog.messages) == 1
