"""What a reused step is: the newest computed value, or a polynomial of the last few, by options."""

from importlib import import_module
from itertools import pairwise
from math import log

import numpy as np
import pytest
import torch

LEVELS = ("output", "hidden")
NEW = ("TaylorSeer", "AdaCache", "CustomCache", "EasyCache")
MASK = torch.ones(1, 1, 3, 8, 8)
MASK[:, :, 0] = 0


@pytest.fixture(scope="session")
def watching(host):
    return import_module("watching")


def point(axis, step, sigma):
    """Where a step lies, sigma kept 0.002 away from 0 and 1."""
    inside = min(max(sigma, 0.002), 0.998)
    return {"step": step, "sigma": sigma, "logsnr": log((1 - inside) / inside)}[axis]


def polynomial(points, at):
    """Weights of values at ``points`` for the value at ``at``: the moments have to agree."""
    powers = np.vander(np.asarray(points) - at, increasing=True).T
    return np.linalg.solve(powers, np.eye(len(points))[0])


def taylor(points, at):
    """TaylorSeer's weights to order 2, written out: F + D1 d + D2 d^2 / 2."""
    *_, newest = points
    d = at - newest
    if len(points) == 1:
        return np.array([1.0])
    units = np.eye(len(points))
    slopes = [
        (b - a) / (v - u) for (a, b), (u, v) in zip(pairwise(units), pairwise(points), strict=True)
    ]
    found = units[-1] + slopes[-1] * d
    if len(points) == 3:
        found = found + (slopes[1] - slopes[0]) / (points[2] - points[1]) * d * d / 2
    return found


def naive(known, step, sigma, order, axis="logsnr", rule=polynomial, slope=1.0, horizon=None):
    """The forecast from ``known``, (step, sigma, value) of computed steps."""
    newest = known[-(order + 1) :]
    elapsed = step - newest[-1][0]
    share = slope if horizon is None or elapsed <= horizon else slope * horizon / elapsed
    weights = rule([point(axis, s, g) for s, g, _ in newest], point(axis, step, sigma))
    value = sum(w * v.double() for w, (_, _, v) in zip(weights, newest, strict=True))
    return share * value + (1 - share) * newest[-1][2].double()


AUTO = {"order": 1, "slope": 0.6, "horizon": 3}
WAYS = {
    "auto": ({}, AUTO),
    "auto of degree 2": ({"max_order": 2}, {**AUTO, "order": 2}),
    "auto of degree 0": ({"max_order": 0}, {"order": 0}),
    "auto in sigma": ({"time_axis": "sigma"}, {**AUTO, "axis": "sigma"}),
    "hold": ({"forecast": "hold"}, {"order": 0}),
    "hold, whatever its degree": ({"forecast": "hold", "max_order": 2}, {"order": 0}),
    "taylor": ({"forecast": "taylor"}, {"order": 1}),
    "taylor of degree 2": ({"forecast": "taylor", "max_order": 2}, {"order": 2}),
    "taylor of degree 3": ({"forecast": "taylor", "max_order": 3}, {"order": 3}),
    "taylor in steps": ({"forecast": "taylor", "time_axis": "step"}, {"order": 1, "axis": "step"}),
    "taylor in sigma": (
        {"forecast": "taylor", "time_axis": "sigma", "max_order": 2},
        {"order": 2, "axis": "sigma"},
    ),
}
"""Options, and what they mean."""
STEPS = 13
PLAN = "CCRRRRCRRRRCR"


def assert_forecast(values, sigmas, plan, means, atol=1e-5):
    """Values of reused steps are what the naive forecast makes of those of computed ones."""
    known, checked = [], 0
    for step, (what, value, sigma) in enumerate(zip(plan, values, sigmas, strict=True)):
        if what == "C":
            known.append((step, sigma, value))
            continue
        expected = naive(known, step, sigma, **means)
        torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=atol)
        checked += 1
    assert checked == plan.count("R") > 0


def terms(plan, order):
    """Of how many computed values each reused one is made; 0 for computed ones."""
    computed = [plan[:step].count("C") for step in range(len(plan))]
    known = zip(plan, computed, strict=True)
    return [min(count, order + 1) if what == "R" else 0 for what, count in known]


@pytest.mark.usefixtures("unalarmed")
@pytest.mark.parametrize("branch", [0, 1], ids=["cond", "uncond"])
@pytest.mark.parametrize(("options", "means"), WAYS.values(), ids=list(WAYS))
@pytest.mark.parametrize("name", ["CustomCache", "TeaCache"])
def test_a_reused_output_is_the_naive_forecast(
    wan, caching, model, traces, name, options, means, branch
):
    seen, calls = caching.seeing(model)
    guards = {"max_consecutive_skips": 4, "warmup_steps": 2, "correction": "off", **options}
    if name == "TeaCache":
        cached = caching.with_policies(seen, caching.static(name), **guards)
    else:
        cached = caching.applied(name, seen, **guards)
    wan.sample(cached, STEPS)
    assert caching.actions(traces[0]) == PLAN
    values = caching.of_branch(calls, branch)
    assert_forecast(values, [call.sigma for call in calls], PLAN, means)
    side = ("cond", "uncond")[branch]
    told = [record.mixed for record in traces[0].records if record.branch == side]
    assert told == terms(PLAN, means["order"])


@pytest.mark.usefixtures("unalarmed")
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("axis", ["logsnr", "step", "sigma"])
def test_taylorseer_makes_its_series_with_forecast_taylor(wan, caching, model, traces, order, axis):
    seen, calls = caching.seeing(model)
    widgets = {"interval": 4, "max_order": order, "time_axis": axis}
    wan.sample(caching.applied("TaylorSeer", seen, widgets=widgets, forecast="taylor"), STEPS)
    plan = caching.actions(traces[0])
    assert plan == "CCRRRCRRRCRRR"
    means = {"order": order, "axis": axis, "rule": taylor}
    assert_forecast(caching.of_branch(calls), [call.sigma for call in calls], plan, means)


def test_easycache_holds_relative_to_the_input_and_forecasts_velocities(
    wan, caching, model, traces
):
    for forecast in ("hold", "auto"):
        seen, calls = caching.seeing(model)
        guards = {"max_consecutive_skips": 4, "forecast": forecast, "correction": "off"}
        wan.sample(caching.applied("EasyCache", seen, **guards), STEPS)
        plan = caching.actions(traces[-1])
        assert plan == PLAN
        values, means = caching.of_branch(calls), AUTO
        if forecast == "hold":
            latents = caching.of_branch(calls, what="latent")
            values = [v - z for v, z in zip(values, latents, strict=True)]
            means = {"order": 0}
        assert_forecast(values, [call.sigma for call in calls], plan, means)


@pytest.mark.usefixtures("unalarmed")
@pytest.mark.parametrize(("options", "means"), WAYS.values(), ids=list(WAYS))
def test_at_level_hidden_it_is_the_residual_of_the_blocks(
    wan, caching, model, traces, options, means
):
    """What reaches the head, less what the patch embedding gave."""
    diffusion, entered, ended = model.model.diffusion_model, [], []
    keep = lambda module, args, out: entered.append(out.flatten(2).transpose(1, 2).clone())  # noqa: E731
    handles = [
        diffusion.patch_embedding.register_forward_hook(keep),
        diffusion.head.register_forward_hook(lambda m, args, out: ended.append(args[0].clone())),
    ]
    guards = {"max_consecutive_skips": 4, **options}
    wan.sample(caching.applied("CustomCache", model, level="hidden", **guards), STEPS)
    for handle in handles:
        handle.remove()
    residuals = [end - start for start, end in zip(entered, ended, strict=True)]
    assert caching.actions(traces[0]) == "CCRRRRCRRRRCR"
    sigmas = [record.sigma for record in traces[0].records if record.branch == "cond"]
    rounding = 1e-4  # of sums with the tokens, amplified by the weights
    assert_forecast(residuals, sigmas, PLAN, means, rounding)


@pytest.mark.every_host
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", NEW)
def test_armed_but_never_reusing_is_the_exact_original(wan, caching, model, traces, name, level):
    plain = wan.sample(model, 6)
    assert torch.equal(plain, wan.sample(caching.applied(name, model, False, level), 6))
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == "C" * 6
    assert traces[0].failsafes() == {}


def assert_pairs_agree(pairs):
    for computed, reused in pairs:
        torch.testing.assert_close(computed, reused, rtol=1e-5, atol=1e-5)
    assert not any(torch.equal(pairs[0][0], computed) for computed, _ in pairs[1:])


@pytest.mark.parametrize("forecast", ["hold", "taylor", "auto"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", NEW)
def test_at_the_point_that_was_computed_every_forecast_is_the_computed_value(
    wan, caching, watching, model, traces, name, level, forecast
):
    guards = {"forecast": forecast, "max_consecutive_skips": 1}
    cached = caching.applied(name, model, level=level, **guards)
    results = watching.evaluated_thrice(wan, cached, steps=6)
    pairs = watching.reused_where_computed(results, caching.evaluations(traces[0]))
    assert len(pairs) >= 4
    assert_pairs_agree(pairs)
    relative = name == "EasyCache" and forecast == "hold"
    if level == "output" and not relative:
        assert all(torch.equal(computed, reused) for computed, reused in pairs)


KINDS = {
    "i2v": ({"in_dim": 36}, {}, {}),
    "5B with an image": ({"in_dim": 48, "out_dim": 48}, {}, {"noise_mask": MASK}),
    "vace": (
        {"model_type": "vace", "vace_layers": 2, "vace_in_dim": 96},
        {"vace_frames": (1, 1, 32, 3, 8, 8)},
        {},
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request, wan):
    config, extras, way = KINDS[request.param]
    way = {"positive": wan.conditioning(1, **extras), **way}
    model = wan.random_wan(num_layers=2, **config)
    return model, way, wan.sample(model, 4, **way)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", NEW)
def test_of_other_kinds(wan, caching, watching, traces, kind, name, level):
    model, way, plain = kind
    assert torch.equal(plain, wan.sample(caching.applied(name, model, False, level), 4, **way))
    cached = caching.applied(name, model, level=level, max_consecutive_skips=1, forecast="taylor")
    results = watching.evaluated_thrice(wan, cached, steps=4, **way)
    pairs = watching.reused_where_computed(results, caching.evaluations(traces[1]))
    assert len(pairs) >= 2
    assert_pairs_agree(pairs)


def test_in_bf16_it_is_summed_up_in_fp32(wan, caching, traces):
    """Values are kept in bf16; a forecast of them is off by its own rounding alone."""
    model = wan.random_wan(torch.bfloat16, num_layers=2)
    model.set_model_compute_dtype(torch.bfloat16)
    seen, calls = caching.seeing(model)
    options = {"forecast": "taylor", "max_order": 2, "correction": "off"}
    wan.sample(caching.applied("CustomCache", seen, max_consecutive_skips=4, **options), STEPS)
    known = []
    for step, (what, call) in enumerate(zip(caching.actions(traces[0]), calls, strict=True)):
        if what == "C":
            known.append((step, call.sigma, call.output))
        else:
            expected = naive(known, step, call.sigma, 2)
            error = (call.output.double() - expected).abs()
            assert (error <= expected.abs() * 2**-8 + 1e-6).all()


NOTHING_RUNS = ("TeaCache", "MagCache", *NEW)


def method(caching, name, model, **guards):
    """Any method but FBCache, reusing whatever the guards allow after two steps."""
    if name in caching.STATIC:
        return caching.with_policies(model, caching.static(name), warmup_steps=2, **guards)
    return caching.applied(name, model, **guards)


@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate"])
@pytest.mark.parametrize("name", NOTHING_RUNS)
def test_at_level_output_a_reused_step_runs_nothing_of_the_model(
    wan, caching, watching, model, traces, run_separately, name, separately
):
    if separately:
        run_separately(model)
    with caching.module_calls(model) as count:
        seen, calls = watching.watched(model, count)
        wan.sample(method(caching, name, seen, max_consecutive_skips=2), 9)
    assert caching.actions(traces[0]).count("R") >= 4
    assert [bool(n) for n in calls] == [letter == "C" for letter in caching.actions(traces[0])]


@pytest.mark.parametrize("name", NEW)
def test_at_level_hidden_a_reused_step_runs_the_head_and_no_block(
    wan, caching, watching, model, traces, name
):
    with caching.module_calls(model) as count:
        seen, blocks = watching.watched(model, lambda: count("blocks."))
        seen, heads = watching.watched(seen, lambda: count("head.head"))
        wan.sample(caching.applied(name, seen, level="hidden", max_consecutive_skips=2), 9)
    assert caching.actions(traces[0]).count("R") >= 4
    assert [bool(n) for n in blocks] == [letter == "C" for letter in caching.actions(traces[0])]
    assert heads == [1] * 9


@pytest.fixture
def buffers(part, monkeypatch):
    """Every tensor that a value was kept in, by history, in order; they stay alive."""
    history, kept = part("cache_core.store").History, {}
    fill = history.fill

    def watched_fill(self, *args):
        fill(self, *args)
        kept.setdefault(id(self), (self, []))[1].append(self.values[-1])

    monkeypatch.setattr(history, "fill", watched_fill)
    return lambda: [tensors for _, tensors in kept.values()]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("name", NEW)
def test_once_the_history_is_full_values_are_kept_in_the_same_buffers(
    wan, caching, model, buffers, name, order, level
):
    options = {"max_order": order, "max_consecutive_skips": 1}
    wan.sample(caching.applied(name, model, level=level, **options), 12)
    assert len(buffers()) == 2
    for kept in buffers():
        assert len(kept) > order + 2
        assert len({tensor.data_ptr() for tensor in kept}) == order + 1
        assert [id(tensor) for tensor in kept[order + 1 :]] == [
            id(tensor) for tensor in kept[: -order - 1]
        ]


LATENT_BYTES = 16 * 3 * 8 * 8 * 4
TOKEN_BYTES = 3 * 4 * 4 * 128 * 4
PROBED_BYTES = 6 * 128 * 4


def kept_by_policy(name, level):
    """EasyCache: two latents, output, gain. AdaCache: strided tokens of a block, a scalar."""
    return {"EasyCache": 3 * LATENT_BYTES + 4, "AdaCache": PROBED_BYTES + 4}.get(name, 0)


@pytest.mark.parametrize("cfg", [1.0, 5.0], ids=["one branch", "two branches"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("order", [0, 2])
@pytest.mark.parametrize("name", NOTHING_RUNS)
def test_memory_is_depth_times_branches_times_a_value_and_what_the_policy_keeps(
    wan, caching, model, traces, name, order, level, cfg
):
    guards = {"max_order": order, "max_consecutive_skips": 1, "level": level}
    wan.sample(method(caching, name, model, **guards), 6, cfg=cfg)
    value = LATENT_BYTES if level == "output" else TOKEN_BYTES
    branches = 1 if cfg == 1 else 2
    expected = (order + 1) * branches * value + kept_by_policy(name, level)
    assert traces[0].peak_bytes == expected


def held(run):
    """Bytes of every tensor that a run can reach through its store and its groups."""
    values = [v for history in run.store.histories.values() for v in history.values]
    states = [vars(s) for group in run.groups.values() for s in group.states if hasattr(s, "gain")]
    values += [v for state in states for v in state.values() if isinstance(v, torch.Tensor)]
    return sum({id(v): v.nbytes for v in values}.values())


def test_the_peak_is_that_of_all_evaluations(wan, caching, part, model, traces, monkeypatch):
    """EasyCache keeps the latent of the step before in reused steps too."""
    run, found = part("cache_core").Run, []
    end = run.end

    def ends(self):
        end(self)
        found.append(held(self))

    monkeypatch.setattr(run, "end", ends)
    wan.sample(caching.applied("EasyCache", model, max_consecutive_skips=2), 9)
    assert traces[0].peak_bytes == max(found)


SAID = {
    "auto": ("TeaCache", {}, "order 1 in logsnr, slope 0.6, corrected"),
    "hold": ("TeaCache", {"forecast": "hold"}, "hold"),
    "hold and correct": ("TeaCache", {"forecast": "hold", "correction": "on"}, "hold, corrected"),
    "taylor": ("TeaCache", {"forecast": "taylor"}, "order 1 in logsnr"),
    "taylor, corrected": (
        "MagCache",
        {"forecast": "taylor", "correction": "on"},
        "order 1 in logsnr, corrected",
    ),
    "not corrected": ("MagCache", {"correction": "off"}, "order 1 in logsnr, slope 0.6"),
    "degree": ("TeaCache", {"max_order": 3}, "order 3 in logsnr, slope 0.6, corrected"),
    "degree 0": ("TeaCache", {"max_order": 0}, "hold, corrected"),
    "axis": ("TeaCache", {"time_axis": "step"}, "order 1 in step, slope 0.6, corrected"),
    "hidden": ("TeaCache", {"level": "hidden"}, "order 1 in logsnr, slope 0.6"),
    "hidden, wished": (
        "TeaCache",
        {"level": "hidden", "correction": "on"},
        "order 1 in logsnr, slope 0.6",
    ),
    "TaylorSeer": ("TaylorSeer", {}, "order 1 in logsnr, slope 0.6, corrected"),
    "TaylorSeer's own": ("TaylorSeer", {"forecast": "taylor"}, "order 1 in logsnr (series)"),
    "options go before the node": (
        "TaylorSeer",
        {"forecast": "taylor", "max_order": 2, "time_axis": "step"},
        "order 2 in step (series)",
    ),
    "CustomCache's own": ("CustomCache", {"forecast": "taylor"}, "order 1 in logsnr"),
    "AdaCache": ("AdaCache", {}, "order 1 in logsnr, slope 0.6, corrected"),
    "EasyCache": ("EasyCache", {}, "order 1 in logsnr, slope 0.6, corrected"),
    "EasyCache's hold": (
        "EasyCache",
        {"forecast": "hold"},
        "hold of the output relative to the input",
    ),
    "EasyCache's hold, hidden": ("EasyCache", {"forecast": "hold", "level": "hidden"}, "hold"),
}


@pytest.mark.every_host
@pytest.mark.parametrize(("name", "options", "said"), SAID.values(), ids=list(SAID))
def test_the_trace_says_what_a_reused_value_was(wan, caching, model, traces, name, options, said):
    wan.sample(method(caching, name, model, **options), 4, size=(1, 4, 4))
    assert traces[0].forecast == said == traces[0].as_json()["forecast"]


@pytest.mark.parametrize("name", NEW)
def test_every_forecast_option_changes_the_latents(wan, caching, model, name):
    ways = [
        {},
        {"forecast": "hold"},
        {"forecast": "taylor"},
        {"max_order": 2},
        {"time_axis": "step"},
        {"correction": "off"},
    ]
    found = [
        wan.sample(caching.applied(name, model, max_consecutive_skips=2, **way), 10, size=(1, 4, 4))
        for way in ways
    ]
    for place, one in enumerate(found):
        assert torch.isfinite(one).all()
        assert not any(torch.equal(one, other) for other in found[:place]), ways[place]


@pytest.mark.parametrize("order", [4, 100, -2])
def test_a_degree_above_3_is_refused_with_a_remedy(part, order):
    core = part("cache_core")
    with pytest.raises(core.StepCacheError, match=rf"`max_order`.*{order}.*0 to 3"):
        core.Options(max_order=order)


@pytest.mark.parametrize("name", ["TaylorSeer", "CustomCache"])
def test_a_node_refuses_a_degree_above_3_with_a_remedy(caching, part, model, name):
    error = part("cache_core").StepCacheError
    with pytest.raises(error, match=r"`max_order`.*4.*0 \(hold\) to 3"):
        caching.applied(name, model, widgets={"max_order": 4})


@pytest.mark.parametrize("name", NEW)
def test_few_steps_are_computed_by_default(wan, caching, model, traces, name):
    plain = wan.sample(model, 6)
    cached = caching.applied(name, model, on_few_steps="off")
    assert torch.equal(plain, wan.sample(cached, 6))
    assert set(caching.reasons(traces[0])) == {"too few steps"}
    assert traces[0].peak_bytes == 0


@pytest.mark.parametrize("name", NEW)
def test_outside_the_window_everything_is_computed(wan, caching, model, traces, name):
    options = {"start_percent": 0.3, "end_percent": 0.7, "warmup_steps": 2}
    wan.sample(caching.applied(name, model, **options), 10)
    done = caching.actions(traces[0])
    sampling = model.get_model_object("model_sampling")
    first, last = (float(sampling.percent_to_sigma(p)) for p in (0.3, 0.7))
    inside = "".join(
        "R" if last * 1.0001 < s <= first * 1.0001 else "C" for s in wan.schedule(model, 10)[:-1]
    )
    assert "R" in done
    assert all(i == "R" for d, i in zip(done, inside, strict=True) if d == "R")
    assert "outside window" in caching.reasons(traces[0])
    assert done == inside or name == "AdaCache"


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("warmup", [0, 1])
def test_a_method_that_has_too_little_to_compare_is_no_failsafe(
    wan, caching, model, traces, name, warmup
):
    wan.sample(caching.applied(name, model, warmup_steps=warmup), 8)
    assert "R" in caching.actions(traces[0])
    assert traces[0].failsafes() == {}
