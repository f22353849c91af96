"""TeaCache and MagCache know their plan beforehand: exact, free to follow, and leaving nothing."""

import logging
from importlib import import_module

import pytest
import torch

LEVELS = ("output", "hidden")
STATIC = ("TeaCache", "MagCache")
VACE = {"model_type": "vace", "vace_layers": 2, "vace_in_dim": 96}
FRAMES = {"vace_frames": (1, 1, 32, 3, 8, 8)}
MASK = torch.ones(1, 1, 3, 8, 8)
MASK[:, :, 0] = 0
KINDS = {
    "t2v": ({}, {}, {}),
    "i2v": ({"in_dim": 36}, {}, {}),
    "5B with an image": ({"in_dim": 48, "out_dim": 48}, {}, {"noise_mask": MASK}),
    "vace": (VACE, FRAMES, {}),
    "bf16": ({"dtype": torch.bfloat16}, {}, {}),
}
"""A model of every kind, what its prompt has besides text, and how it is sampled."""


@pytest.fixture(scope="session")
def watching(host):
    return import_module("watching")


@pytest.fixture(scope="module", params=KINDS)
def kind(request, wan):
    config, extras, way = KINDS[request.param]
    model = wan.random_wan(**config)
    if request.param == "bf16":
        model.set_model_compute_dtype(torch.bfloat16)
    return model, {"positive": wan.conditioning(1, **extras), **way}


UNEXPECTED = {"error", "no history", "changed input", "metric not finite"}


@pytest.fixture
def pairs_of(wan, caching, watching, traces):
    """Computed and reused results at the same points of one sampling of a cached model."""

    def sampled(cached, steps=4, **way):
        results = watching.evaluated_thrice(wan, cached, steps=steps, **way)
        pairs = watching.reused_where_computed(results, caching.evaluations(traces[-1]))
        assert len(pairs) >= steps - 1
        assert not UNEXPECTED & set(traces[-1].failsafes())
        return pairs

    return sampled


def assert_alike(pairs):
    """Computed and reused results differ by the rounding of a sum in bf16, no more."""
    for computed, reused in pairs:
        assert (computed - reused).norm() < 0.02 * computed.norm()
    assert (pairs[0][0] - pairs[-1][0]).norm() > 0.1 * pairs[0][0].norm()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", STATIC)
def test_of_every_kind(wan, caching, traces, pairs_of, kind, name, level):
    model, way = kind
    plain = wan.sample(model, steps=3, **way)
    armed = caching.with_policies(model, caching.static(name, 0.0), level=level)
    assert torch.equal(plain, wan.sample(armed, steps=3, **way))
    assert caching.actions(traces[0]) == "CCC"

    policy = caching.static(name)
    cached = caching.with_policies(model, policy, level=level, max_consecutive_skips=1)
    pairs = pairs_of(cached, **way)
    if model.model.get_dtype() == torch.bfloat16 and level == "hidden":
        assert_alike(pairs)
    else:
        caching.assert_reuse_is_exact(pairs, level)
    assert caching.actions(traces[1]) == caching.actions(traces[1], "uncond")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", STATIC)
@pytest.mark.parametrize("cfg_mode", ["cond", "separate"])
def test_with_branches_in_calls_of_their_own(
    wan, caching, model, pairs_of, run_separately, name, level, cfg_mode
):
    run_separately(model)
    split = wan.sample(model, steps=3)
    armed = caching.with_policies(model, caching.static(name, 0.0), level=level, cfg_mode=cfg_mode)
    assert torch.equal(split, wan.sample(armed, steps=3))
    guards = {"level": level, "cfg_mode": cfg_mode, "max_consecutive_skips": 1}
    cached = caching.with_policies(model, caching.static(name), **guards)
    caching.assert_reuse_is_exact(pairs_of(cached), level)


def scaling(args, extra):
    return {"img": extra["original_block"](args)["img"] * 1.01}


def writing_into_its_input(args, extra):
    args["img"] += torch.linspace(0, 3, args["img"].shape[-1])
    return extra["original_block"](args)


def skipping(args, extra):
    return {"img": args["img"]}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", STATIC)
@pytest.mark.parametrize("patch", [scaling, writing_into_its_input, skipping])
def test_with_another_packs_patch_on_block_0(wan, caching, model, pairs_of, name, level, patch):
    patched = model.clone()
    patched.set_model_patch_replace(patch, "dit", "double_block", 0)
    plain = wan.sample(patched, steps=3)
    assert not torch.equal(plain, wan.sample(model, steps=3))
    armed = caching.with_policies(patched, caching.static(name, 0.0), level=level)
    assert torch.equal(plain, wan.sample(armed, steps=3))
    guards = {"level": level, "max_consecutive_skips": 1}
    cached = caching.with_policies(patched, caching.static(name), **guards)
    caching.assert_reuse_is_exact(pairs_of(cached), level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("order", [("FBCache", "TeaCache"), ("TeaCache", "FBCache")])
@pytest.mark.parametrize("voter", ["FBCache", "TeaCache"])
def test_chained_with_fbcache(wan, caching, part, traces, pairs_of, level, order, voter):
    """Whoever votes for the reuse, it is exact; at level hidden it starts before block 0."""
    first_block = part("cache_core").FBCache
    model = wan.random_wan(**VACE)
    prompt = {"positive": wan.conditioning(1, **FRAMES)}

    def policies(**thresholds):
        made = {
            "FBCache": first_block(thresholds.get("FBCache", 0.0)),
            "TeaCache": caching.static("TeaCache", thresholds.get("TeaCache", 0.0)),
        }
        return [made[name] for name in order]

    plain = wan.sample(model, steps=3, **prompt)
    armed = caching.with_policies(model, *policies(), level=level)
    assert torch.equal(plain, wan.sample(armed, steps=3, **prompt))
    willing = policies(**{voter: 1.0 if voter == "FBCache" else 10.0})
    cached = caching.with_policies(model, *willing, level=level, max_consecutive_skips=1)
    caching.assert_reuse_is_exact(pairs_of(cached, **prompt), level)
    assert {r.method for r in traces[1].records} == {None, voter}


def combined(wan, model):
    return model, {"positive": [*wan.conditioning(1), *wan.conditioning(3)]}


def regional(wan, model):
    left, right = (
        [wan.conditioning(seed)[0][0], {"area": ("percentage", 1, 1, 0.5, 0, 0, x), "strength": 1}]
        for seed, x in ((1, 0.0), (3, 0.5))
    )
    return model, {"positive": [left, right]}


def windows(wan, model):
    nodes = pytest.importorskip("comfy_extras.nodes_context_windows")
    windowed = nodes.WanContextWindowsManualNode.execute(
        model, context_length=13, context_overlap=5, context_schedule="standard_static",
        context_stride=1, closed_loop=False, fuse_method="pyramid", freenoise=False,
    ).args[0]  # fmt: skip
    return windowed, {"size": (7, 8, 8)}


def skip_layer_guidance(wan, model):
    from comfy_extras.nodes_slg import SkipLayerGuidanceDiT

    guided = SkipLayerGuidanceDiT.execute(model, 3.0, 0.0, 1.0, double_layers="2", single_layers="")
    return guided.args[0], {}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", STATIC)
@pytest.mark.parametrize("several", [combined, regional, windows, skip_layer_guidance])
def test_with_several_conditions_windows_and_passes(
    wan, caching, model, traces, pairs_of, name, level, several
):
    source, way = several(wan, model)
    plain = wan.sample(source, 3, **way)
    policy = caching.static(name, 0.0)
    armed = caching.with_policies(source, policy, level=level)
    assert torch.equal(plain, wan.sample(armed, 3, **way))
    guards = {"level": level, "max_consecutive_skips": 1}
    cached = caching.with_policies(source, caching.static(name), **guards)
    caching.assert_reuse_is_exact(pairs_of(cached, **way), level)
    assert len(caching.actions(traces[1])) >= 2 * 12


@pytest.mark.every_host
@pytest.mark.parametrize("name", STATIC)
def test_a_prompt_that_takes_over_starts_computed(wan, caching, model, traces, name):
    (early, _), (late, _) = (*wan.conditioning(1), *wan.conditioning(3))
    prompt = [[early, {"end_percent": 0.45}], [late, {"start_percent": 0.45}]]
    wan.sample(caching.with_policies(model, caching.static(name)), positive=prompt)
    done = caching.actions(traces[0])
    at = done.rindex("C")
    assert done == "C" + "R" * (at - 1) + "C" + "R" * (7 - at)
    assert at > 2


@pytest.fixture
def module_calls(model):
    """``calls(start)``: calls of the model's modules whose name starts so."""
    called, handles = [], []
    for name, module in model.model.diffusion_model.named_modules():
        if name:
            hook = lambda *args, name=name: called.append(name)  # noqa: E731
            handles.append(module.register_forward_hook(hook))
    yield lambda start="": sum(name.startswith(start) for name in called)
    for handle in handles:
        handle.remove()


@pytest.mark.every_host
@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate"])
@pytest.mark.parametrize("name", STATIC)
def test_at_level_output_a_reused_evaluation_runs_nothing_of_the_model(
    wan, caching, watching, model, traces, module_calls, run_separately, name, separately
):
    if separately:
        run_separately(model)
    seen, calls = watching.watched(model, module_calls)
    guards = {"max_consecutive_skips": 2}
    wan.sample(caching.with_policies(seen, caching.static(name), **guards))
    assert caching.actions(traces[0]) == "CRRCRRCR"
    assert [bool(count) for count in calls] == [letter == "C" for letter in "CRRCRRCR"]


@pytest.mark.every_host
@pytest.mark.parametrize("name", STATIC)
def test_at_level_hidden_a_reused_evaluation_runs_the_head_and_no_block(
    wan, caching, watching, model, module_calls, name
):
    guards = {"level": "hidden", "max_consecutive_skips": 2}
    seen, blocks = watching.watched(model, lambda: module_calls("blocks."))
    wan.sample(caching.with_policies(seen, caching.static(name), **guards))
    assert [bool(count) for count in blocks] == [letter == "C" for letter in "CRRCRRCR"]
    seen, heads = watching.watched(model, lambda: module_calls("head.head"))
    wan.sample(caching.with_policies(seen, caching.static(name), **guards))
    assert heads == [1] * 8


@pytest.mark.parametrize("name", STATIC)
def test_at_level_hidden_nothing_between_the_blocks_runs_either(
    wan, caching, watching, traces, name
):
    model, ran = wan.random_wan(**VACE), []
    for block in model.model.diffusion_model.vace_blocks:
        block.register_forward_hook(lambda *args: ran.append(1))
    seen, calls = watching.watched(model, lambda: len(ran))
    guards = {"level": "hidden", "max_consecutive_skips": 1}
    cached = caching.with_policies(seen, caching.static(name), **guards)
    wan.sample(cached, positive=wan.conditioning(1, **FRAMES))
    assert caching.actions(traces[0]) == "CR" * 4
    assert calls[0::2] == [calls[0]] * 4
    assert calls[0] > 0


ONCE = 3
"""Reads of a run's first evaluation at most: a static method computes its plan there."""


@pytest.mark.every_host
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", STATIC)
@pytest.mark.parametrize("threshold", [0.0, 10.0], ids=["computing", "reusing"])
@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate"])
@pytest.mark.parametrize(("sampler", "each"), [("euler", 0), ("heun", 1)])
def test_waits_for_the_device(
    wan, caching, watching, model, monkeypatch, run_separately,
    name, threshold, level, separately, sampler, each,
):  # fmt: skip
    """Where the sampler's steps can be counted, no evaluation but the first reads a value."""
    if separately:
        run_separately(model)
    reads = watching.counted_reads(monkeypatch)
    plain, before = watching.watched(model, reads)
    seen, during = watching.watched(model, reads)
    policy = caching.static(name, threshold)
    cached = caching.with_policies(seen, policy, level=level, cfg_mode="separate")
    wan.sample(cached, steps=2)
    during.clear()
    wan.sample(plain, steps=6, sampler=sampler)
    wan.sample(cached, steps=6, sampler=sampler)
    ours = [one - other for one, other in zip(during, before, strict=True)]
    assert ours[1:] == [each] * (len(ours) - 1)
    assert ours[0] <= each + ONCE


@pytest.mark.every_host
def test_samplers_said_to_evaluate_once_a_step_do_and_no_other(wan, watching, part):
    """Of every sampler that this ComfyUI has and that can run a flow model."""
    import comfy.samplers

    facts, model, wrong = part("nodes.host.facts"), wan.random_wan(num_layers=1), {}
    for name in comfy.samplers.SAMPLER_NAMES:
        found = evaluates_once_a_step(wan, watching, model, name)
        said = facts.sampler_name(comfy.samplers.sampler_object(name)) in facts.ONE_EVALUATION
        if found is None:
            assert not said, f"{name} cannot run here, yet it is said to evaluate once a step"
        elif found != said:
            wrong[name] = f"evaluates once a step: {found}, said to: {said}"
    assert wrong == {}


CANNOT = {
    "ar_video": "for autoregressive models alone",
}
"""Samplers that cannot run an ordinary flow model, and why."""


def evaluates_once_a_step(wan, watching, model, sampler, steps=7):
    """Whether evaluation i is the i-th of ``steps``, at sigma i; None for samplers in CANNOT."""
    if sampler in CANNOT:
        return None
    seen, sigmas, schedule = watching.evaluated_sigmas(model)
    wan.sample(seen, steps, sampler=sampler, size=(1, 4, 4))
    close = [abs(a - b) <= 2e-3 * b for a, b in zip(sigmas, schedule[:-1], strict=False)]
    return len(sigmas) == len(schedule) - 1 and all(close)


def anatomy(model):
    return {
        name: (sorted(vars(module)), len(module._forward_pre_hooks), len(module._forward_hooks))
        for name, module in model.model.diffusion_model.named_modules()
    }


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", STATIC)
def test_a_model_sampled_twice_gives_the_same_twice(wan, caching, model, traces, name, level):
    cached = caching.with_policies(model, caching.static(name), level=level, warmup_steps=3)
    before = anatomy(model)
    assert torch.equal(wan.sample(cached), wan.sample(cached))
    assert caching.actions(traces[0]) == caching.actions(traces[1]) == "CCCRRRRR"
    assert anatomy(model) == before


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", STATIC)
@pytest.mark.parametrize("at", [0, 1], ids=["in the first step", "in a later step"])
def test_an_error_in_the_middle_leaves_nothing(
    wan, caching, part, model, monkeypatch, name, level, at
):
    cached = caching.with_policies(model, caching.static(name), level=level, last_steps=3)
    clean, before, calls = wan.sample(cached), anatomy(model), []
    block = model.model.diffusion_model.blocks[2]

    def fail(*args):
        calls.append(1)
        if len(calls) > at:
            raise RuntimeError("broken")

    handle = block.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="broken"):
        wan.sample(cached)
    handle.remove()
    run_key = part("nodes.host.keys").RUN_KEY
    for patcher in (model, cached):
        assert run_key not in patcher.model_options.get("transformer_options", {})
    assert anatomy(model) == before
    assert torch.equal(wan.sample(cached), clean)


@pytest.mark.parametrize("name", STATIC)
@pytest.mark.parametrize("sampler", ["heun", "dpm_2"])
def test_a_plan_counts_evaluations_where_a_step_has_several(
    wan, caching, model, traces, caplog, name, sampler
):
    cached = caching.with_policies(model, caching.static(name), warmup_steps=2)
    with caplog.at_level(logging.INFO):
        wan.sample(cached, 12, sampler=sampler)
        wan.sample(cached, 12)
    plans = [line for line in caplog.messages if " computes " in line]
    assert " of 23 evaluations in 12 steps: 1-4" in plans[0]
    assert " of 12 steps: 1-2" in plans[1]
    assert traces[0].notes == traces[1].notes == []


@pytest.mark.parametrize("name", STATIC)
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "uni_pc", "lcm"])
def test_what_happens_is_the_plan_that_was_shown(wan, caching, model, traces, name, sampler):
    policy = caching.static(name)
    cached = caching.with_policies(model, policy, warmup_steps=2, max_consecutive_skips=2)
    wan.sample(cached, 12, sampler=sampler)
    plan, happened = traces[0].methods[0].plan, {}
    for record in traces[0].records:
        happened.setdefault(record.step, set()).add(caching.LETTER[record.action.value])
    assert "R" in plan
    assert [happened[step] for step in sorted(happened)] == [{letter} for letter in plan]


@pytest.mark.parametrize("name", STATIC)
@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm_2", "dpmpp_sde", "seeds_2"])
def test_an_ordinary_sampler_is_no_failsafe(wan, caching, model, traces, name, sampler):
    wan.sample(caching.with_policies(model, caching.static(name)), 12, sampler=sampler)
    assert traces[0].failsafes() == {}
    assert traces[0].counts()["cond"]["reused"] > 0


@pytest.mark.parametrize("name", STATIC)
def test_a_plan_that_cannot_be_made_costs_no_render(
    wan, caching, part, model, traces, monkeypatch, name
):
    def broken(*args):
        raise RuntimeError("on purpose")

    policy = caching.static(name)
    monkeypatch.setattr(type(policy), "timetable", broken)
    plain = wan.sample(model)
    assert torch.equal(plain, wan.sample(caching.with_policies(model, policy)))
    assert set(traces[0].failsafes()) >= {"error"}
    assert traces[0].methods[0].plan is None


def test_a_distance_that_is_no_number_is_computed(wan, caching, part, model, traces, monkeypatch):
    policy, timetable = caching.static("TeaCache"), part("cache_core.timetable").Timetable
    rows = ((0.0, *[float("nan")] * 7),)
    monkeypatch.setattr(type(policy), "timetable", lambda *args: timetable(rows))
    plain = wan.sample(model)
    assert torch.equal(plain, wan.sample(caching.with_policies(model, policy)))
    assert traces[0].failsafes() == {"metric not finite": 14}
