"""MagCache Calibrate measures what is there, changes nothing, and writes one sound file or none."""

import json
import logging
from importlib import import_module
from itertools import pairwise

import pytest
import torch
from checkout import ROOT
from safetensors import safe_open

STEPS = 12
FILE = "measured.safetensors"
BRANCHES = ("cond", "uncond")


@pytest.fixture(scope="session")
def watching(host):
    return import_module("watching")


@pytest.fixture
def folder(part):
    """The folder of calibrations, empty before and after."""
    files = part("nodes.host.calibration_files")
    place = files.path_for("x").parent
    empty(place)
    yield place
    empty(place)


def empty(place):
    for path in place.glob("*") if place.exists() else ():
        path.unlink()


@pytest.fixture
def calibrate(part, watching, folder):
    node = part("nodes.calibrate").MagCacheCalibrate
    return lambda model, **inputs: watching.execute(node, model=model, name="measured", **inputs)


@pytest.fixture
def sampled(wan, calibrate):
    """One calibrated sampling with the numbers of the test; its latents."""

    def run(model, overwrite=False, **way):
        return wan.sample(calibrate(model, overwrite=overwrite)[0], **{"steps": STEPS, **way})

    return run


@pytest.fixture(scope="module")
def model(wan):
    return wan.random_wan(num_layers=2)


def content(path):
    """Tensors by name, and the header."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["wan_step_cache"])
        return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118


class Seen:
    """Residuals, outputs and guided results of a sampling without the pack, by the test's hooks."""

    def __init__(self, model):
        self.model = model
        self.before, self.residuals, self.outputs = None, [], []
        self.guided, diffusion = [], model.model.diffusion_model
        self.handles = [
            diffusion.blocks[0].register_forward_pre_hook(self.enters, with_kwargs=True),
            diffusion.head.register_forward_pre_hook(self.leaves),
            diffusion.register_forward_hook(self.ends),
        ]

    def enters(self, block, args, kwargs):
        self.before = args[0].double().clone()

    def leaves(self, head, args):
        self.residuals.append(args[0].double() - self.before)

    def ends(self, model, args, output):
        self.outputs.append(output.double().clone())

    def step(self, step, denoised, x, total):
        self.guided.append((denoised.double().clone(), x.double().clone()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()

    def of(self, values, branch):
        """The rows of a branch by step: the host batches uncond before cond."""
        return [value.chunk(2)[1 - branch] for value in values]


def seen(wan, model, **way):
    with Seen(model) as found:
        latents = wan.sample(model, **{"steps": STEPS, "callback": found.step, **way})
    return found, latents


def naive_ratios(residuals):
    """(ratio, deviation, cosine distance) of every step to the one before, over tokens, in fp64."""
    rows = [[1.0, 0.0, 0.0]]
    for before, now in pairwise(residuals):
        ratio = now.norm(dim=-1) / before.norm(dim=-1)
        cosine = (now * before).sum(-1) / (now.norm(dim=-1) * before.norm(dim=-1))
        rows.append([float(v) for v in (ratio.mean(), ratio.std(), (1 - cosine).mean())])
    return rows


def naive_gram(values):
    flat = torch.stack([value.flatten() for value in values])
    return flat @ flat.T


def near(found, expected, tolerance=1e-5):
    torch.testing.assert_close(
        found.double(), torch.as_tensor(expected).double(), rtol=tolerance, atol=tolerance
    )


WAYS = {
    "plain": {},
    "batch of 2": {"batch": 2},
    "another sampler": {"sampler": "dpmpp_2m", "scheduler": "beta"},
}


@pytest.mark.every_host
@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_the_file_holds_what_another_measurement_finds(wan, model, sampled, folder, way):
    found, plain = seen(wan, model, **way)
    assert torch.equal(plain, sampled(model, **way))
    tensors, header = content(folder / FILE)
    assert list(header["sections"]) == ["single"]
    for branch, name in enumerate(BRANCHES):
        rows = naive_ratios(found.of(found.residuals, branch))
        for column, what in enumerate(("mag_ratio", "norm_std", "cos_dis")):
            near(tensors[f"single.{name}.{what}"], [row[column] for row in rows])
        outputs = found.of(found.outputs, branch)
        near(tensors[f"single.{name}.output_gram"] / 1e3, naive_gram(outputs) / 1e3)
        changes = [float((b - a).abs().mean() / a.abs().mean()) for a, b in pairwise(outputs)]
        near(tensors[f"single.{name}.output_change"], [0.0, *changes])


def test_the_gram_matrices_are_those_of_inner_products(wan, model, sampled, folder):
    found, _ = seen(wan, model)
    sampled(model)
    tensors, _ = content(folder / FILE)
    sigmas = tensors["single.sigmas"]
    near(sigmas, wan.schedule(model, STEPS)[:-1])
    velocities = [(x - denoised) / s for (denoised, x), s in zip(found.guided, sigmas, strict=True)]
    guided = tensors["single.guided.output_gram"]
    scale = float(guided.diagonal().mean())
    near(guided / scale, naive_gram(velocities) / scale, 1e-4)
    for name in ("cond", "uncond", "guided"):
        gram = tensors[f"single.{name}.output_gram"]
        assert gram.shape == (STEPS, STEPS)
        assert gram.dtype == torch.float64
        assert torch.equal(gram, gram.T)
        assert (gram.diagonal() > 0).all()
        assert torch.linalg.eigvalsh(gram).min() > -1e-6 * scale


@pytest.mark.every_host
def test_shapes_and_facts(wan, part, model, sampled, folder):
    sampled(model, cfg=4.0, size=(3, 6, 8), seed=3)
    tensors, header = content(folder / FILE)
    for name, tensor in tensors.items():
        assert torch.isfinite(tensor).all(), name
        assert tensor.dtype == torch.float64, name
    assert tensors["single.e.change"].shape == tensors["single.e0.change"].shape == (STEPS,)
    assert tensors["single.e0.coefficients"].shape == (5,)
    assert header["model"] == {"kind": "t2v", "dim": 128, "layers": 2}
    facts = header["sections"]["single"]
    expected = {
        "variant": "wan_t2v_other", "steps": STEPS, "sampler": "euler", "scheduler": "simple",
        "cfg": 4.0, "width": 64, "height": 48, "frames": 9, "batch": 1,
    }  # fmt: skip
    assert {name: facts[name] for name in expected} == expected
    assert facts["shift"] == model.get_model_object("model_sampling").shift


def test_the_polynomial_predicts_the_outputs_it_was_fitted_on(wan, model, sampled, folder):
    sampled(model, steps=20)
    tensors, _ = content(folder / FILE)
    import numpy as np

    for signal in ("e", "e0"):
        x = tensors[f"single.{signal}.change"][1:]
        low, high = tensors[f"single.{signal}.fit_range"].tolist()
        assert (low, high) == (float(x.min()), float(x.max()))
        both = [tensors[f"single.{branch}.output_change"][1:] for branch in BRANCHES]
        guess = np.polyval(tensors[f"single.{signal}.coefficients"].numpy(), x.numpy())
        y = torch.cat(both).numpy()
        missed = ((y - np.concatenate([guess, guess])) ** 2).sum()
        r_squared = 1 - missed / ((y - y.mean()) ** 2).sum()
        assert float(tensors[f"single.{signal}.r_squared"]) == pytest.approx(r_squared, abs=1e-6)


@pytest.mark.every_host
def test_calibrating_again_gives_the_same_bytes(wan, model, sampled, folder):
    sampled(model)
    first = (folder / FILE).read_bytes()
    sampled(model, overwrite=True)
    assert (folder / FILE).read_bytes() == first
    assert [path.name for path in folder.iterdir()] == [FILE]


@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate"])
def test_branches_in_calls_of_their_own_measure_the_same(
    wan, model, sampled, folder, run_separately, separately
):
    sampled(model)
    expected, _ = content(folder / FILE)
    if separately:
        run_separately(model)
    sampled(model, overwrite=True)
    found, _ = content(folder / FILE)
    assert set(found) == set(expected)
    for name in ("single.cond.mag_ratio", "single.uncond.cos_dis", "single.uncond.mag_ratio"):
        near(found[name], expected[name], 1e-4)


def test_without_guidance_there_is_one_branch(model, sampled, folder):
    sampled(model, cfg=1.0)
    tensors, _ = content(folder / FILE)
    assert "single.cond.mag_ratio" in tensors
    assert not [name for name in tensors if ".uncond." in name]


@pytest.mark.parametrize("order", ["before", "behind"])
def test_while_calibrating_nothing_is_reused(wan, caching, calibrate, model, folder, traces, order):
    """Apply nodes on the same model, before the calibration or behind it, stand back."""
    plain = wan.sample(model, STEPS)
    policies = [caching.static(name) for name in caching.STATIC]
    if order == "before":
        both = calibrate(caching.with_policies(model, *policies))[0]
    else:
        both = caching.with_policies(calibrate(model)[0], *policies)
    assert torch.equal(plain, wan.sample(both, STEPS))
    assert traces == []
    assert (folder / FILE).exists()


def scaling(args, extra):
    return {"img": extra["original_block"](args)["img"] * 1.01}


def writing_into_its_input(args, extra):
    args["img"] += torch.linspace(0, 3, args["img"].shape[-1])
    return extra["original_block"](args)


@pytest.mark.parametrize("patch", [scaling, writing_into_its_input])
def test_another_packs_patch_on_block_0_goes_on_working(
    wan, model, sampled, calibrate, folder, patch
):
    patched = model.clone()
    patched.set_model_patch_replace(patch, "dit", "double_block", 0)
    sampled(model)
    without, _ = content(folder / FILE)
    plain = wan.sample(patched, STEPS)
    assert torch.equal(plain, sampled(patched, overwrite=True))
    found, _ = content(folder / FILE)
    assert not torch.equal(found["single.cond.mag_ratio"], without["single.cond.mag_ratio"])


def test_the_models_it_came_from_are_not_calibrated(wan, calibrate, model, folder):
    calibrate(model)
    wan.sample(model, STEPS)
    assert list(folder.glob("*")) == []


def test_apply_nodes_offer_the_file_afterwards(part, model, sampled, folder):
    def offered(module, name, widget):
        node = getattr(part(module), name)
        return node.GET_NODE_INFO_V1()["input"]["optional"][widget][1]["options"]

    places = [
        ("nodes.magcache", "ApplyMagCache", "calibration"),
        ("nodes.teacache", "ApplyTeaCache", "coefficients"),
    ]
    assert not any(FILE in offered(*place) for place in places)
    sampled(model)
    assert all(FILE in offered(*place) for place in places)


def refused(caplog):
    lines = [r.getMessage() for r in caplog.records if "MagCache Calibrate" in r.getMessage()]
    return [line for line in lines if "nothing was written" in line]


def timed(wan):
    (early, _), (late, _) = (*wan.conditioning(1), *wan.conditioning(3))
    return {"positive": [[early, {"end_percent": 0.45}], [late, {"start_percent": 0.45}]]}


def third(wan):
    return {"positive": [*wan.conditioning(1), *wan.conditioning(3)]}


def regional(wan):
    left, right = (
        [wan.conditioning(seed)[0][0], {"area": ("percentage", 1, 1, 0.5, 0, 0, x), "strength": 1}]
        for seed, x in ((1, 0.0), (3, 0.5))
    )
    return {"positive": [left, right]}


UNFIT = {
    "two evaluations a step": (lambda wan: {"sampler": "heun"}, "heun.*more than once"),
    "evaluations between steps": (lambda wan: {"sampler": "dpm_2"}, "dpm_2.*more than once"),
    "conditions that change": (timed, "conditions change"),
    "a third condition": (third, "more than one positive"),
    "regions": (regional, "more than one positive"),
}


@pytest.mark.every_host
@pytest.mark.parametrize(("way", "words"), UNFIT.values(), ids=list(UNFIT))
def test_what_cannot_be_calibrated_renders_and_says_why(
    wan, model, sampled, folder, caplog, way, words
):
    import re

    plain = wan.sample(model, **{"steps": STEPS, **way(wan)})
    with caplog.at_level(logging.INFO):
        assert torch.equal(plain, sampled(model, **way(wan)))
    assert list(folder.glob("*")) == []
    (line,) = refused(caplog)
    assert re.search(words, line)


def test_guidance_that_is_switched_off_in_the_middle_is_refused(
    wan, model, calibrate, folder, caplog
):
    """CFG is 1 for the second half: one branch fewer."""
    import comfy.samplers

    def sampled_with_switch(patcher):
        guider = comfy.samplers.CFGGuider(patcher)
        guider.set_conds(wan.conditioning(1), wan.conditioning(2))
        guider.set_cfg(5.0)

        def switch(step, *_):
            guider.cfg = 1.0 if step >= STEPS // 2 else 5.0

        latent, noise = wan.latent_and_noise(model, 0, 1, (3, 8, 8))
        euler, sigmas = comfy.samplers.sampler_object("euler"), wan.schedule(model, STEPS)
        with torch.inference_mode():
            return guider.sample(
                noise, latent, euler, sigmas, callback=switch, disable_pbar=True, seed=0
            )

    plain = sampled_with_switch(model)
    with caplog.at_level(logging.INFO):
        assert torch.equal(plain, sampled_with_switch(calibrate(model)[0]))
    assert list(folder.glob("*")) == []
    assert "branches change" in refused(caplog)[0]


def test_context_windows_are_refused(wan, model, calibrate, folder, caplog):
    nodes = pytest.importorskip("comfy_extras.nodes_context_windows")
    windowed = nodes.WanContextWindowsManualNode.execute(
        model, context_length=13, context_overlap=5, context_schedule="standard_static",
        context_stride=1, closed_loop=False, fuse_method="pyramid", freenoise=False,
    ).args[0]  # fmt: skip
    plain = wan.sample(windowed, STEPS, size=(7, 8, 8))
    with caplog.at_level(logging.INFO):
        assert torch.equal(plain, wan.sample(calibrate(windowed)[0], STEPS, size=(7, 8, 8)))
    assert list(folder.glob("*")) == []
    assert len(refused(caplog)) == 1


@pytest.mark.parametrize("kind", ["error", "interrupt"])
@pytest.mark.parametrize("step", [0, 5, STEPS - 1])
def test_a_sampling_that_ends_early_leaves_no_file_and_nothing_else(
    wan, part, model, calibrate, folder, caplog, kind, step
):
    from comfy.model_management import InterruptProcessingException

    error = RuntimeError("stop") if kind == "error" else InterruptProcessingException()

    def stop(at, *_):
        if at == step:
            raise error

    cached = calibrate(model)[0]
    before = anatomy(model)
    with caplog.at_level(logging.INFO), pytest.raises(type(error)):
        wan.sample(cached, STEPS, callback=stop)
    assert list(folder.glob("*")) == []
    assert "ended early" in refused(caplog)[0]
    assert anatomy(model) == before
    key = part("nodes.host.keys").MEASURE_KEY
    assert key not in cached.model_options["transformer_options"]
    wan.sample(cached, STEPS)
    assert (folder / FILE).exists()


def test_an_interrupted_calibration_keeps_the_old_file(wan, model, calibrate, sampled, folder):
    sampled(model)
    old = (folder / FILE).read_bytes()

    def stop(at, *_):
        if at == 3:
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        wan.sample(calibrate(model, overwrite=True)[0], STEPS, callback=stop, seed=9)
    assert (folder / FILE).read_bytes() == old


def anatomy(model):
    return {
        name: (sorted(vars(module)), len(module._forward_pre_hooks), len(module._forward_hooks))
        for name, module in model.model.diffusion_model.named_modules()
    }


@pytest.mark.every_host
def test_it_leaves_no_hooks_and_no_tensors(wan, part, model, calibrate, folder):
    import gc
    import weakref

    kept, meter = [], part("cache_core.measurement").Measurement
    original = meter.call

    def remembering(self, *args):
        original(self, *args)
        kept.append(weakref.ref(self))

    cached, before = calibrate(model)[0], anatomy(model)
    meter.call = remembering
    try:
        wan.sample(cached, STEPS)
    finally:
        meter.call = original
    gc.collect()
    assert len(kept) == STEPS
    assert not any(reference() for reference in kept)
    assert anatomy(model) == before


def test_a_file_that_exists_is_left_alone(wan, model, sampled, folder, caplog):
    sampled(model)
    old = (folder / FILE).read_bytes()
    plain = wan.sample(model, STEPS, seed=4)
    with caplog.at_level(logging.INFO):
        assert torch.equal(plain, sampled(model, seed=4))
    assert (folder / FILE).read_bytes() == old
    assert "overwrite" in refused(caplog)[0]
    sampled(model, overwrite=True, seed=4)
    assert (folder / FILE).read_bytes() != old


def test_another_models_file_is_left_alone_too(wan, model, sampled, folder, caplog):
    sampled(model)
    old, other = (folder / FILE).read_bytes(), wan.random_wan(num_layers=1)
    with caplog.at_level(logging.INFO):
        sampled(other)
    assert (folder / FILE).read_bytes() == old
    assert "overwrite" in refused(caplog)[0]
    sampled(other, overwrite=True)
    assert content(folder / FILE)[1]["model"]["layers"] == 1


def test_a_file_that_is_no_calibration_is_not_replaced_unasked(model, sampled, folder, caplog):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(b"something of the user's")
    with caplog.at_level(logging.INFO):
        sampled(model)
    assert (folder / FILE).read_bytes() == b"something of the user's"
    assert len(refused(caplog)) == 1 or "without the cache" in caplog.text


def test_a_damaged_file_can_be_overwritten(model, sampled, folder):
    """Overwrite means: replace what is there."""
    sampled(model)
    data = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(data[: len(data) // 2])
    sampled(model, overwrite=True)
    assert (folder / FILE).read_bytes() == data


def test_a_full_disk_costs_the_file_and_not_the_render(
    wan, part, model, sampled, folder, monkeypatch, caplog
):
    files, plain = part("cache_core.calibration_file"), wan.sample(model, STEPS)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.Path, "replace", full)
    with caplog.at_level(logging.INFO):
        assert torch.equal(plain, sampled(model))
    assert "No space left" in refused(caplog)[0]
    assert list(folder.glob("*")) == []


@pytest.mark.parametrize(
    "place", ["_measure", "_tap", "_embed"], ids=["statistics", "tap", "time embedding"]
)
def test_an_error_of_the_pack_costs_the_file_and_not_the_render(
    wan, part, model, sampled, folder, monkeypatch, caplog, place
):
    def broken(*args, **kwargs):
        raise RuntimeError("on purpose")

    targets = {
        "_measure": (part("cache_core.measurement").ResidualMeter, "add"),
        "_tap": (part("nodes.host.calibrate"), "chunks_of"),
        "_embed": (part("nodes.host.calibrate"), "tensors_of"),
    }
    plain = wan.sample(model, STEPS)
    monkeypatch.setattr(*targets[place], broken)
    with caplog.at_level(logging.INFO):
        assert torch.equal(plain, sampled(model))
    assert list(folder.glob("*")) == []
    assert len(refused(caplog)) == 1


TOO_LONG = "x" * 101
WRONG_NAMES = [
    *("", ".", "..", "...", "../x", "a/b", "a\\b", "..\\x", "/etc/x", "/x", "C:\\x", "C:x", "~x"),
    *("x\x00", "\x00", "x\n", "x\ny", "a\tb", "\u202ex", "\u00e4", "con", "CON", "nul.safetensors"),
    *("aux", "prn.txt", "com1", "LPT9", "Com1.safetensors", " x", "x ", "x.", ".x", ".safetensors"),
    *(TOO_LONG, "x" * 5000, "x:y", "x*", "x?", "x|y", "<x>", '"x"', "$x", "%x%", "x;y", "con ."),
    *("con .safetensors", "aux .x"),
]


@pytest.mark.parametrize("name", WRONG_NAMES, ids=ascii)
def test_a_name_that_is_no_file_name_is_refused_twice(part, watching, model, folder, name):
    """Before anything is queued, and again when the node runs."""
    node, error = part("nodes.calibrate").MagCacheCalibrate, part("cache_core").StepCacheError
    told = node.validate_inputs(name)
    assert isinstance(told, str)
    assert "`name`" in told
    with pytest.raises(error, match="`name`"):
        watching.execute(node, model=model, name=name)
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.mark.parametrize("name", [".x", "-x", "CON", "a ", "a.", TOO_LONG, "a/b", "\u00e4"])
def test_a_refused_name_is_told_the_whole_rule(part, name):
    """Node and help page tell the same rule."""
    rule, node = part("nodes.host.calibration_files").RULE, part("nodes.calibrate")
    assert node.MagCacheCalibrate.validate_inputs(name) == (
        f"`name` is {name!r}, but must be a file name without a folder: {rule}."
    )
    for words in ("100 English letters", "beginning with", "not ending with", "Windows reserves"):
        assert words in rule
    shown = node.MagCacheCalibrate.GET_NODE_INFO_V1()
    assert f"{rule}." in shown["input"]["required"]["name"][1]["tooltip"]
    page = ROOT / "js" / "docs" / "WanStepCache_MagCacheCalibrate.md"
    assert f"without a folder: {rule}. |" in page.read_text()


@pytest.mark.parametrize(
    "name", ["my_wan", "wan2.2 high+low", "x.safetensors", "A-1_b.c", "x" * 100, "+", "console"]
)
def test_a_name_that_is_one_is_taken(wan, part, watching, model, folder, name):
    node = part("nodes.calibrate").MagCacheCalibrate
    assert node.validate_inputs(name) is True
    wan.sample(watching.execute(node, model=model, name=name)[0], 6)
    (path,) = folder.iterdir()
    assert path.name == name.removesuffix(".safetensors") + ".safetensors"
    assert path.parent == folder


@pytest.fixture
def pair(wan, model, calibrate):
    """Two experts, calibrated one after the other into one file."""
    other = wan.random_wan(seed=7, num_layers=2)

    def run(steps=20, split=9, overwrite=False, seed=0):
        high, low = calibrate(model, low_noise_model=other, overwrite=overwrite)
        half = wan.sample(high, steps, start_step=0, last_step=split, seed=seed)
        wan.sample(
            low, steps, latent=half, start_step=split, last_step=steps,
            disable_noise=True, force_full_denoise=True, seed=seed,
        )  # fmt: skip
        return model, other

    return run


@pytest.mark.every_host
def test_two_experts_go_into_one_file(wan, pair, folder):
    pair()
    tensors, header = content(folder / FILE)
    assert sorted(header["sections"]) == ["high", "low"]
    sigmas = torch.cat([tensors["high.sigmas"], tensors["low.sigmas"]])
    near(sigmas, wan.schedule(wan.random_wan(num_layers=1), 20)[:-1])
    assert (len(tensors["high.sigmas"]), len(tensors["low.sigmas"])) == (9, 11)
    facts = header["sections"]
    assert [facts[s]["steps"] for s in ("high", "low")] == [9, 11]
    assert [facts[s]["scheduler"] for s in ("high", "low")] == ["simple", "simple"]
    assert [facts[s]["variant"].rsplit("_")[-1] for s in ("high", "low")] == ["high", "low"]


def test_overwriting_one_expert_keeps_the_other(wan, pair, model, calibrate, folder):
    _, other = pair()
    before, _ = content(folder / FILE)
    high, _ = calibrate(model, low_noise_model=other, overwrite=True)
    wan.sample(high, 20, start_step=0, last_step=9, seed=5)
    after, header = content(folder / FILE)
    assert sorted(header["sections"]) == ["high", "low"]
    assert all(torch.equal(after[n], before[n]) for n in before if n.startswith("low."))
    assert not torch.equal(after["high.cond.mag_ratio"], before["high.cond.mag_ratio"])


def run_magcache(part, watching, model, **inputs):
    options = part("cache_core").Options(on_few_steps="allow", last_steps=0)
    return watching.execute(
        part("nodes.magcache").ApplyMagCache, model=model, preset="custom", magcache_thresh=0.0,
        magcache_K=50, retention_ratio=0.0, calibration=FILE, options=options, **inputs,
    )  # fmt: skip


def test_the_curve_that_was_measured_is_the_one_applied(
    wan, caching, part, watching, model, sampled, folder, traces
):
    sampled(model, steps=20)
    tensors, _ = content(folder / FILE)
    wan.sample(run_magcache(part, watching, model)[0], 20, seed=8)
    expected = [abs(1 - ratio) for ratio in tensors["single.cond.mag_ratio"][1:].tolist()]
    assert caching.metrics(traces[0])[1:] == pytest.approx(expected, abs=1e-7)
    assert FILE in traces[0].methods[0].notes[0]


def test_each_expert_is_given_its_own_section(wan, caching, part, watching, pair, folder, traces):
    model, other = pair()
    tensors, _ = content(folder / FILE)
    experts = run_magcache(part, watching, model, low_noise_model=other)
    for expert, (start, last) in zip(experts, ((0, 9), (9, 20)), strict=True):
        wan.sample(expert, 20, start_step=start, last_step=last)
    for trace, name in zip(traces, ("high", "low"), strict=True):
        expected = [abs(1 - r) for r in tensors[f"{name}.cond.mag_ratio"][1:].tolist()]
        assert caching.metrics(trace)[1:] == pytest.approx(expected, abs=1e-7)
        assert f"section {name}" in trace.methods[0].notes[0]


@pytest.mark.parametrize("use_ret_steps", [True, False], ids=["e0", "e"])
def test_teacache_takes_the_polynomial_that_was_fitted(
    wan, caching, part, watching, model, sampled, folder, traces, use_ret_steps
):
    import numpy as np

    sampled(model, steps=20)
    tensors, _ = content(folder / FILE)
    options = part("cache_core").Options(on_few_steps="allow")
    cached = watching.execute(
        part("nodes.teacache").ApplyTeaCache, model=model, preset="custom", rel_l1_thresh=0.0,
        use_ret_steps=use_ret_steps, coefficients=FILE, options=options,
    )[0]  # fmt: skip
    wan.sample(cached, 20)
    signal = "e0" if use_ret_steps else "e"
    coefficients = tensors[f"single.{signal}.coefficients"].numpy()
    expected = np.polyval(coefficients, tensors[f"single.{signal}.change"][1:].numpy())
    expected = np.clip(expected, 0, 1).tolist()
    assert caching.metrics(traces[0])[1:] == pytest.approx(expected, abs=1e-5)


def test_a_file_of_another_architecture_is_refused(wan, part, watching, model, sampled, folder):
    sampled(model)
    other, error = wan.random_wan(num_layers=1), part("cache_core").StepCacheError
    for run, slot in ((run_magcache, "calibration"), (run_teacache, "coefficients")):
        with pytest.raises(error, match=f"^`{slot}` is .* 2 layers") as refused:
            run(part, watching, other)
        assert "1 layers" in str(refused.value)
        assert "alibrate" in str(refused.value)


def run_teacache(part, watching, model):
    return watching.execute(part("nodes.teacache").ApplyTeaCache, model=model, coefficients=FILE)


def test_a_file_that_is_gone_or_damaged_is_refused(part, watching, model, sampled, folder):
    sampled(model)
    error, data = part("cache_core").StepCacheError, (folder / FILE).read_bytes()
    for damaged in (None, b"", data[:100], data[: len(data) // 2], b"x" * len(data)):
        (folder / FILE).unlink(missing_ok=True)
        if damaged is not None:
            (folder / FILE).write_bytes(damaged)
        for run, slot in ((run_magcache, "calibration"), (run_teacache, "coefficients")):
            with pytest.raises(error, match=f"^`{slot}`: .*measured") as refused:
                run(part, watching, model)
            assert "alibrate" in str(refused.value)


def test_another_calibration_under_the_same_name_is_noticed(
    wan, caching, part, watching, model, sampled, folder, traces
):
    magcache, teacache = part("nodes.magcache"), part("nodes.teacache")
    marks = []
    for seed in (0, 6):
        sampled(model, steps=20, seed=seed, overwrite=True)
        marks.append(
            (
                magcache.ApplyMagCache.fingerprint_inputs(calibration=FILE, preset="fast"),
                teacache.ApplyTeaCache.fingerprint_inputs(coefficients=FILE, preset="fast"),
            )
        )
        wan.sample(run_magcache(part, watching, model)[0], 20)
    assert marks[0][0] != marks[1][0]
    assert marks[0][1] != marks[1][1]
    assert caching.metrics(traces[0]) != caching.metrics(traces[1])


def test_a_calibration_of_few_steps_has_ratios_but_no_polynomial(
    wan, part, watching, model, sampled, folder
):
    sampled(model, steps=5)
    assert run_magcache(part, watching, model)
    with pytest.raises(part("cache_core").StepCacheError, match="`coefficients`") as refused:
        run_teacache(part, watching, model)
    assert "20 steps" in str(refused.value)


def test_one_step_says_that_it_is_too_short(model, sampled, folder, part, watching, caplog):
    """A file that nobody can use is not written."""
    with caplog.at_level(logging.INFO):
        sampled(model, steps=1)
    assert list(folder.glob("*")) == []
    assert len(refused(caplog)) == 1


@pytest.mark.parametrize("kind", ["vace", "5B", "i2v"])
def test_other_kinds_are_measured_too(wan, sampled, folder, kind):
    configs = {
        "vace": {"model_type": "vace", "vace_layers": 2, "vace_in_dim": 96},
        "5B": {"in_dim": 48, "out_dim": 48},
        "i2v": {"in_dim": 36},
    }
    model = wan.random_wan(**configs[kind])
    mask = torch.ones(1, 1, 3, 8, 8)
    mask[:, :, 0] = 0
    way = {"noise_mask": mask} if kind == "5B" else {}
    found, plain = seen(wan, model, **way)
    assert torch.equal(plain, sampled(model, **way))
    tensors, _ = content(folder / FILE)
    for branch, name in enumerate(BRANCHES):
        rows = naive_ratios(found.of(found.residuals, branch))
        near(tensors[f"single.{name}.mag_ratio"], [row[0] for row in rows])
        outputs = found.of(found.outputs, branch)
        near(tensors[f"single.{name}.output_gram"] / 1e3, naive_gram(outputs) / 1e3)


# The trained model: a curve says what another number of steps will do.


@pytest.fixture(scope="module")
def trained(host):
    """The trained tiny Wan, on the schedule it was trained for."""
    import comfy.sd
    from checkout import ROOT
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    path = ROOT / "tests" / "assets" / "tiny_wan" / "tiny_wan.safetensors"
    return ModelSamplingSD3().patch(comfy.sd.load_diffusion_model(str(path)), shift=5.0)[0]


@pytest.fixture
def curves(wan, trained, sampled, folder):
    """Calibrations of the trained model at 50, 30 and 20 steps, as tensors."""
    words = import_module("tiny_wan.words")
    prompt = [[words.embed("red disc right fast"), {}]]
    found = {}
    for steps in (50, 30, 20):
        way = {"positive": prompt, "size": (5, 16, 16), "steps": steps, "seed": 11}
        sampled(trained, overwrite=True, **way)
        found[steps] = content(folder / FILE)[0]
    return found


def nearest(ratios, steps):
    """Resampling as published: the calibrated step at the same place in the schedule."""
    return ratios[[round(i * (len(ratios) - 1) / (steps - 1)) for i in range(steps)]]


def test_a_curve_of_50_steps_predicts_the_ratios_at_20_and_30(part, trained, curves):
    """Within the deviation over tokens, and several times better than by nearest step."""
    embed = part("nodes.host.time_signal").embedding_of(trained)
    for branch in BRANCHES:
        name, at_50 = f"single.{branch}.mag_ratio", curves[50]
        for steps in (20, 30):
            measured = curves[steps][name][1:]
            spread = curves[steps][f"single.{branch}.norm_std"][1:]
            found = resampled(part, at_50, curves[steps]["single.sigmas"], name, embed)
            off, by_nearest = (found - measured).abs(), (nearest(at_50[name], steps)[1:] - measured)
            assert (off < spread).all()
            assert off.mean() < 0.2 * spread.mean()
            assert off.mean() < 0.1 * by_nearest.abs().mean()


def resampled(part, calibration, sigmas, name, embed):
    """What the pack makes of a calibrated curve for a run at these sigmas, without its first."""
    magcache, timetable = part("cache_core.magcache"), part("cache_core.timetable")
    rows = (tuple(calibration[name].tolist()),)
    curve = magcache.Curve(tuple(calibration["single.sigmas"].tolist()), rows, measured=True)
    outlook = timetable.Outlook(tuple(sigmas.tolist()), embed)
    (row,) = magcache.MagCache(0.1, 2, curve).timetable(outlook).rows
    return torch.tensor(row[1:], dtype=torch.float64)


@pytest.mark.parametrize("name", ["EasyCache", "LazyCache"])
def test_nothing_is_calibrated_while_a_cache_of_comfyui_leaves_out_steps(
    model, sampled, folder, caplog, name
):
    from comfy_extras import nodes_easycache

    caplog.set_level("INFO")
    rival = getattr(nodes_easycache, f"{name}Node").execute(model, 0.2, 0.15, 0.95, False).args[0]
    sampled(rival)
    assert f"nothing was written: ComfyUI's {name} node leaves out steps: remove it" in caplog.text
    assert not folder.exists() or list(folder.iterdir()) == []
