"""Schedules in several samplings, on one model or on the two experts of a pair."""

import gc
import logging
import weakref
from importlib import import_module

import pytest
import torch

STEPS, SWITCH, WARM_UP = 20, 9, 3
NODES = ("fbcache", "teacache", "magcache", "taylorseer", "adacache", "customcache", "easycache")


@pytest.fixture(scope="module")
def models(wan):
    """Two tiny Wans with different weights."""
    return {"high": wan.random_wan(seed=1), "low": wan.random_wan(seed=2)}


@pytest.fixture
def prompt(host):
    """Whatever runs within ``prompt(id)`` belongs to that prompt."""
    from comfy_execution.utils import CurrentNodeContext

    return lambda prompt_id: CurrentNodeContext(prompt_id, "3")


@pytest.fixture
def experts(caching, models):
    """Both models reusing all they may, and known by their place or not at all."""

    def cached(placed=True):
        made = {}
        for place, model in models.items():
            identity = caching.recognise(model)
            method = caching.Method(caching.static("MagCache"), caching.UNGUARDED)
            options = caching.Options(warmup_steps=WARM_UP, last_steps=0)
            known = identity.placed(place) if placed else identity
            made[place] = caching.attach(model, known, method, options)
        return made

    return cached


def go(wan, models, parts):
    """Sample the parts (model, first step, last step) of one schedule, one after the other."""
    latent = None
    for index, (name, first, last) in enumerate(parts):
        latent = wan.sample(
            models[name],
            STEPS,
            **({} if latent is None else {"latent": latent}),
            start_step=first,
            last_step=last,
            disable_noise=index > 0,
            force_full_denoise=last == STEPS,
        )
    return latent


PARTS = {  # parts of a schedule, what each does with three steps of warm-up
    "one whole": ([("high", 0, 20)], ["CCC" + "R" * 17]),
    "a pair": ([("high", 0, 9), ("low", 9, 20)], ["CCCRRRRRR", "CCC" + "R" * 8]),
    "high in two": (
        [("high", 0, 4), ("high", 4, 9), ("low", 9, 20)],
        ["CCCR", "CRRRR", "CCC" + "R" * 8],
    ),
    "high in two, warm-up not over": (
        [("high", 0, 1), ("high", 1, 9), ("low", 9, 20)],
        ["C", "CCRRRRRR", "CCC" + "R" * 8],
    ),
    "high in three, warm-up not over": (
        [("high", 0, 1), ("high", 1, 2), ("high", 2, 9)],
        ["C", "C", "CRRRRRR"],
    ),
    "low in two": (
        [("high", 0, 9), ("low", 9, 14), ("low", 14, 20)],
        ["CCCRRRRRR", "CCCRR", "CRRRRR"],
    ),
    "the same again": ([("high", 0, 9), ("high", 0, 9)], ["CCCRRRRRR", "CCCRRRRRR"]),
    "a second pass": ([("high", 0, 20), ("high", 12, 20)], ["CCC" + "R" * 17, "CCCRRRRR"]),
}


@pytest.mark.parametrize("placed", [True, False], ids=["placed", "by weights"])
@pytest.mark.parametrize(("parts", "expected"), PARTS.values(), ids=list(PARTS))
def test_the_warm_up_is_counted_over_an_experts_part(
    wan, caching, experts, prompt, traces, parts, expected, placed
):
    with prompt(f"{parts} {placed}"):
        go(wan, experts(placed), parts)
    assert [caching.actions(trace) for trace in traces] == expected
    assert [caching.actions(trace, "uncond") for trace in traces] == expected


def test_a_presets_share_is_one_of_all_steps_of_the_expert(wan, caching, models, prompt, traces):
    guards = caching.GuardDefaults(0.25, 0, None)
    model = caching.with_policies(models["high"], caching.static("MagCache"), guards=guards)
    with prompt("share"):
        go(wan, {"high": model}, [("high", 0, 3), ("high", 3, 20)])
    assert [caching.actions(trace) for trace in traces] == ["CRR", "CC" + "R" * 15]


PAIRS = {  # parts of a schedule, what each does with a share of 0.3
    "a pair": ([("high", 0, 9), ("low", 9, 20)], ["CCCCCCRRR", "CC" + "R" * 9]),
    "high in two": (
        [("high", 0, 3), ("high", 3, 9), ("low", 9, 20)],
        ["CCC", "CCCRRR", "CC" + "R" * 9],
    ),
    "low alone": ([("low", 0, 20)], ["CCCCCC" + "R" * 14]),
}


@pytest.mark.parametrize(("parts", "expected"), PAIRS.values(), ids=list(PAIRS))
def test_a_presets_share_is_one_of_the_schedule_of_both_experts(
    wan, caching, models, prompt, traces, parts, expected
):
    method = caching.Method(caching.static("MagCache"), caching.GuardDefaults(0.3, 0, None))
    made = {
        place: caching.attach(model, caching.recognise(model).placed(place), method, None)
        for place, model in models.items()
    }
    with prompt(f"pair {parts}"):
        go(wan, made, parts)
    assert [caching.actions(trace) for trace in traces] == expected


def test_one_model_on_both_inputs_is_two_experts(wan, caching, experts, models, prompt, traces):
    models = {"high": models["high"], "low": models["high"]}
    made = {
        place: caching.attach(
            model,
            caching.recognise(model).placed(place),
            caching.Method(caching.static("MagCache"), caching.UNGUARDED),
            caching.Options(warmup_steps=WARM_UP),
        )
        for place, model in models.items()
    }
    with prompt("one file"):
        go(wan, made, [("high", 0, 9), ("low", 9, 20)])
    assert [caching.actions(trace)[:4] for trace in traces] == ["CCCR", "CCCR"]


def test_a_lora_on_part_of_the_expert_is_the_same_expert(wan, caching, experts, prompt, traces):
    high = experts(placed=False)["high"]
    with_lora = high.clone()
    name = "diffusion_model.blocks.0.ffn.0.weight"
    weight = high.model.state_dict()[name]
    assert with_lora.add_patches({name: ("diff", (torch.ones_like(weight) * 0.01,))})
    with prompt("lora"):
        go(wan, {"plain": high, "lora": with_lora}, [("plain", 0, 4), ("lora", 4, 9)])
    assert [caching.actions(trace) for trace in traces] == ["CCCR", "CRRRR"]


@pytest.mark.parametrize("ids", [("first", "second"), (None, None)], ids=["prompts", "no prompt"])
def test_only_samplings_of_one_prompt_go_on_with_each_other(
    wan, caching, experts, prompt, traces, ids
):
    models = experts()
    for prompt_id, part in zip(ids, [("high", 0, 4), ("high", 4, 9)], strict=True):
        if prompt_id is None:
            go(wan, models, [part])
        else:
            with prompt(prompt_id):
                go(wan, models, [part])
    assert [caching.actions(trace) for trace in traces] == ["CCCR", "CCCRR"]


@pytest.mark.every_host
def test_split_sigmas_never_carry_a_value_over_the_switch(
    wan, caching, models, prompt, traces, node_module
):
    """The first expert changes nothing, so the second starts where it would without the cache."""
    high = caching.cached(models["high"], 0.0)
    low, seen = caching.seeing(caching.cached(models["low"]))
    reference, uncached = caching.seeing(models["low"])
    with prompt("split"):
        split_sigmas(wan, node_module, high, low)
    split_sigmas(wan, node_module, models["high"], reference)
    assert caching.actions(traces[0]) == "C" * SWITCH
    assert caching.actions(traces[1]) == "C" + "R" * (STEPS - SWITCH - 1)
    assert seen[0].sigma == uncached[0].sigma
    assert torch.equal(seen[0].latent, uncached[0].latent)
    assert torch.equal(seen[0].output, uncached[0].output)


def test_after_reused_steps_the_other_expert_computes_with_its_own_weights(
    wan, caching, models, prompt, traces, node_module
):
    policy = caching.static("MagCache")
    high, low = (caching.with_policies(models[name], policy) for name in ("high", "low"))
    low, seen = caching.seeing(low)
    with prompt("reused before"):
        split_sigmas(wan, node_module, high, low)
    assert caching.actions(traces[0]).endswith("R")
    assert caching.reasons(traces[1])[0] == "first evaluation"
    assert seen[0].sigma == pytest.approx(float(wan.schedule(low, STEPS)[SWITCH]))
    assert traces[1].counts()["cond"]["computed"] == len(seen) == 1


@pytest.fixture(scope="session")
def node_module(host):
    """The host's nodes for custom sampling."""
    return import_module("comfy_extras.nodes_custom_sampler")


def split_sigmas(wan, nodes, high, low):
    """SplitSigmas and two SamplerCustomAdvanced, as in workflows of two experts."""
    import comfy.samplers

    sigmas = nodes.SplitSigmas.execute(wan.schedule(high, STEPS), SWITCH).args
    latent = {"samples": wan.latent_and_noise(high, 0, 1, (3, 8, 8))[0]}
    noises = nodes.RandomNoise.execute(5).args[0], nodes.DisableNoise.execute().args[0]
    for model, noise, part in zip((high, low), noises, sigmas, strict=True):
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(wan.conditioning(1), wan.conditioning(2))
        guider.set_cfg(5.0)
        sampler = comfy.samplers.sampler_object("euler")
        with torch.inference_mode():
            latent = nodes.SamplerCustomAdvanced.execute(noise, guider, sampler, part, latent)[0]
    return latent["samples"]


def dual_guider(wan, nodes, model, negative_model):
    """The host's guider with a model for each branch, where it has one."""
    node = getattr(nodes, "DualModelGuider", None)
    if node is None:
        pytest.skip("this host has no DualModelGuider")
    guider = (model, wan.conditioning(1), 5.0, negative_model, wan.conditioning(2))
    return node.execute(*guider).args[0]


def sampled_twice_at_every_point(wan, guider, model):
    """Pairs of results of a sampling that evaluates twice at every point."""
    import comfy.samplers

    pairs = []

    def run(model_k, x, sigmas, extra_args, callback=None, disable=None):
        def pair(x, sigma):
            level = sigma * x.new_ones(x.shape[0])
            pairs.append(tuple(model_k(x, level, **extra_args) for _ in range(2)))
            return pairs[-1][0]

        return wan.euler(pair, x, sigmas)

    latent, noise = wan.latent_and_noise(model, 0, 1, (3, 8, 8))
    sampler, sigmas = comfy.samplers.KSAMPLER(run), wan.schedule(model, 10)
    with torch.inference_mode():
        guider.sample(noise, latent, sampler, sigmas, disable_pbar=True)
    return pairs


def test_two_models_in_one_sampling_keep_apart(wan, caching, models, traces, node_module):
    """The host's DualModelGuider: cond from one model, uncond from the other."""
    args = (wan, node_module)
    plain = dual_guider(*args, models["high"], models["low"])
    reference = sampled_twice_at_every_point(wan, plain, models["high"])
    exact = dual_guider(*args, caching.cached(models["high"], 0.0), models["low"])
    idle = sampled_twice_at_every_point(wan, exact, models["high"])
    assert all(torch.equal(a[0], b[0]) for a, b in zip(reference, idle, strict=True))
    limits = {"max_consecutive_skips": 1, "forecast": "hold"}
    cached = dual_guider(*args, caching.cached(models["high"], **limits), models["low"])
    pairs = sampled_twice_at_every_point(wan, cached, models["high"])
    assert caching.actions(traces[1]) == "CCRR" * 10  # each model's branch is its only one: cond
    assert caching.reasons(traces[1])[:2] == ["first evaluation"] * 2
    measured = caching.metrics(traces[1])
    pairs_of_metrics = zip(measured[4::4], measured[5::4], strict=True)  # at each further point
    assert all(one != other for one, other in pairs_of_metrics)
    caching.assert_reuse_is_exact(pairs, "output")


@pytest.mark.parametrize("name", NODES)
def test_every_apply_node_knows_its_models_by_their_places(part, models, name):
    watching = import_module("watching")
    nodes = vars(part(f"nodes.{name}")).values()
    apply = next(n for n in nodes if getattr(n, "__name__", "").startswith("Apply"))
    known = {"calibration": "wan2.1_t2v_1.3B"} if name == "magcache" else {}
    inputs = {"model": models["high"], "low_noise_model": models["low"], **known}
    both = watching.execute(apply, **inputs)
    configs = [part("nodes.host.keys").config_of(patcher.model_options) for patcher in both]
    assert [config.identity.expert for config in configs] == ["high", "low"]


def lines_of(caplog, start):
    mark = f"Wan Step Cache: {start}"
    return [r.getMessage() for r in caplog.records if r.getMessage().startswith(mark)]


def test_one_line_tells_of_both_experts(wan, experts, prompt, caplog, traces):
    models = experts()
    with caplog.at_level(logging.INFO), prompt("both"):
        go(wan, models, [("high", 0, 4), ("high", 4, 9)])
        assert len(lines_of(caplog, "2 samplings: ")) == 1
        go(wan, models, [("low", 9, 20)])
    (line,) = lines_of(caplog, "both experts, 3 samplings: ")
    assert "cond 13 of 20 reused, uncond 13 of 20 reused | about 2.86x" in line
    saved = sum(trace.seconds * (trace.speedup() - 1) for trace in traces)
    seconds = sum(trace.seconds for trace in traces)
    assert f"{saved:.1f} s saved of {saved + seconds:.1f} s" in line
    assert f"{max(trace.peak_bytes for trace in traces) / 2**20:.1f} MiB" in line


def test_a_prompt_of_one_sampling_is_told_once(wan, experts, prompt, caplog):
    models = experts()
    with caplog.at_level(logging.INFO):
        for prompt_id in ("one", "two"):
            with prompt(prompt_id):
                go(wan, models, [("high", 0, 20)])
        go(wan, models, [("high", 0, 9), ("low", 9, 20)])  # outside of any prompt
    assert not [r for r in caplog.records if "samplings" in r.getMessage()]
    assert not lines_of(caplog, "both experts")


@pytest.mark.parametrize("verbose", [True, False])
def test_the_table_is_for_those_who_ask_for_it(wan, caching, models, caplog, verbose):
    with caplog.at_level(logging.INFO):
        wan.sample(caching.cached(models["high"], verbose=verbose), 10)
    tables = [r.getMessage() for r in caplog.records if "seconds each" in r.getMessage()]
    assert len(tables) == verbose
    assert all("FBCache metric" in table and "cond" in table for table in tables)


def test_the_ledger_keeps_no_model(wan, caching, prompt):
    import comfy.model_management

    model = wan.random_wan(seed=3, num_layers=1)
    kept = weakref.ref(model.model)
    cached = caching.cached(model)
    with prompt("let go"):
        wan.sample(cached, 2)
        del model, cached
        comfy.model_management.unload_all_models()
        comfy.model_management.cleanup_models()
        gc.collect()
        assert kept() is None
