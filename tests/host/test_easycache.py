"""EasyCache decides as published, on what the real host gives and gets, and writes to nothing."""

from importlib import import_module
from itertools import pairwise

import pytest
import torch

LEVELS = ("output", "hidden")
STEPS = 16


@pytest.fixture(scope="session")
def watching(host):
    return import_module("watching")


def mean(a, b=0.0):
    """mean|a - b| in fp64."""
    return float((a.double() - b).abs().mean())


class Naive:
    """The published loop over the latents z and outputs v of one branch.

    The change of z from step to step, skipped ones too, times the gain between the last two
    computed steps, over mean|v| of the last, is added up; at the threshold a step is computed and
    the sum begins anew. The first and last steps are computed whatever it says.
    """

    def __init__(self, threshold, warmup=0, last=0):
        self.threshold, self.warmup, self.last = threshold, warmup, last
        self.plan, self.sums = "", []

    def run(self, latents, outputs):
        """``outputs``: of the model, by step; those of reused steps are not looked at."""
        total, gain, full, before = 0.0, None, None, None
        for step, z in enumerate(latents):
            known = gain is not None
            if known:
                total += gain * mean(z, before.double()) / mean(full[1])
            self.sums.append(total if known else None)
            guarded = step < self.warmup or step >= len(latents) - self.last
            computes = guarded or not known or total >= self.threshold
            self.plan += "C" if computes else "R"
            if computes:
                v, total = outputs[step], 0.0
                if full is not None:
                    gain = mean(v, full[1].double()) / mean(z, full[0].double())
                full = (z, v)
            before = z
        return self


def run(wan, caching, model, threshold, steps=STEPS, branch=0, way=None, **options):
    """Trace-independent facts of one sampling: latents and raw outputs of a branch, by step."""
    options = {"warmup_steps": 2, "last_steps": 1, **options}
    outside, calls = caching.seeing(model)
    widgets = {"reuse_threshold": threshold}
    cached = caching.applied("EasyCache", outside, widgets=widgets, **options)
    inside, computed = caching.seeing(cached)
    wan.sample(inside, steps, **(way or {}))
    latents = caching.of_branch(calls, branch, "latent")
    raw = iter(caching.of_branch(computed, branch))
    sigmas = {call.sigma for call in computed if branch in call.branches}
    of_branch = [call for call in calls if branch in call.branches]
    return latents, [next(raw) if call.sigma in sigmas else None for call in of_branch]


def close(metrics, sums):
    assert [m is None for m in metrics] == [s is None for s in sums]
    known = [(m, s) for m, s in zip(metrics, sums, strict=True) if s is not None]
    assert [m for m, _ in known] == pytest.approx([s for _, s in known], rel=1e-4, abs=1e-6)


WAYS = {
    "euler": ({}, {}),
    "dpmpp_2m": ({"sampler": "dpmpp_2m"}, {}),
    "an SDE": ({"sampler": "euler_ancestral"}, {}),
    "uni_pc": ({"sampler": "uni_pc"}, {}),
    "CFG 1": ({"cfg": 1.0}, {}),
    "batch of 2": ({"batch": 2}, {}),
    "one frame, odd size": ({"size": (1, 7, 9)}, {}),
    "hold": ({}, {"forecast": "hold"}),
    "warm-up, last": ({}, {"warmup_steps": 5, "last_steps": 3}),
    "other schedule": ({"scheduler": "beta"}, {}),
}


@pytest.mark.every_host
@pytest.mark.parametrize("threshold", [0.3, 1.0])
@pytest.mark.parametrize(("way", "options"), WAYS.values(), ids=list(WAYS))
def test_its_decisions_are_those_of_the_published_loop(
    wan, caching, model, traces, way, options, threshold
):
    latents, outputs = run(wan, caching, model, threshold, way=way, **options)
    guards = (options.get("warmup_steps", 2), options.get("last_steps", 1))
    naive = Naive(threshold, *guards).run(latents, outputs)
    assert caching.actions(traces[0]) == naive.plan
    close(caching.metrics(traces[0]), naive.sums)
    assert threshold < 1 or naive.plan.count("R") >= 3
    assert traces[0].failsafes() == {}


@pytest.mark.parametrize("level", LEVELS)
def test_levels_decide_on_the_same_things(wan, caching, model, traces, level):
    latents, outputs = run(wan, caching, model, 0.0, level=level)
    close(caching.metrics(traces[0]), Naive(0.0, 2, 1).run(latents, outputs).sums)


def test_image_to_video_compares_the_latent_not_what_is_joined_to_it(wan, caching, traces):
    model = wan.random_wan(num_layers=2, in_dim=36)
    latents, outputs = run(wan, caching, model, 0.5)
    assert latents[0].shape[1] == 36
    naive = Naive(0.5, 2, 1).run([latent[:, :16] for latent in latents], outputs)
    assert caching.actions(traces[0]) == naive.plan
    close(caching.metrics(traces[0]), naive.sums)


@pytest.mark.parametrize("cfg_mode", ["cond", "separate"])
def test_branches_that_run_separately(wan, caching, model, traces, run_separately, cfg_mode):
    """Each decides for itself, or the one that runs first for both."""
    run_separately(model)
    outside, calls = caching.seeing(model)
    widgets, options = {"reuse_threshold": 0.4}, {"last_steps": 1, "cfg_mode": cfg_mode}
    cached = caching.applied("EasyCache", outside, widgets=widgets, **options)
    inside, computed = caching.seeing(cached)
    wan.sample(inside, STEPS)
    plans = {}
    for branch, label in ((0, "cond"), (1, "uncond")):
        raw = {c.sigma: c.output for c in computed if branch in c.branches}
        mine = [call for call in calls if branch in call.branches]
        outputs = [raw.get(call.sigma) for call in mine]
        plans[label] = Naive(0.4, 2, 1)
        if cfg_mode == "separate" or traces[0].records[0].branch == label:
            plans[label].run([call.latent for call in mine], outputs)
            assert caching.actions(traces[0], label) == plans[label].plan
            close(caching.metrics(traces[0], label), plans[label].sums)
    if cfg_mode == "cond":
        assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond")
    assert "R" in caching.actions(traces[0]) + caching.actions(traces[0], "uncond")
    assert traces[0].failsafes() == {}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("options", [{}, {"forecast": "hold"}], ids=["auto", "hold"])
def test_nothing_of_the_hosts_is_written_to(wan, caching, model, traces, level, options):
    """Latents before and after each evaluation are the same to the bit, computed or reused."""
    cached = caching.applied("EasyCache", model, level=level, max_consecutive_skips=2, **options)
    touched = []

    def look(evaluate, x, sigmas):
        def watched(x, sigma):
            before = x.clone()
            result = evaluate(x, sigma)
            touched.append(not torch.equal(before, x) or result.data_ptr() == x.data_ptr())
            return result

        return wan.euler(watched, x, sigmas)

    wan.sample_with(look, cached, steps=9)
    assert "R" in caching.actions(traces[0])
    assert touched == [False] * 9


def in_place(evaluate, x, sigmas):
    """Euler's method by a sampler that writes into the latent it was given."""
    for now, after in pairwise(sigmas):
        x += (x - evaluate(x, now)) / now * (after - now)
    return x


@pytest.mark.every_host
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("options", [{}, {"forecast": "hold"}], ids=["auto", "hold"])
def test_a_host_that_writes_into_its_latent_changes_nothing(
    wan, caching, model, traces, level, options
):
    cached = caching.applied("EasyCache", model, level=level, max_consecutive_skips=2, **options)
    found = [wan.sample_with(how, cached, steps=9) for how in (wan.euler, in_place)]
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)
    metrics = [caching.metrics(trace)[2:] for trace in traces]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-4)
    assert min(metrics[1]) > 1e-4
    assert caching.actions(traces[0]) == caching.actions(traces[1])


@pytest.mark.every_host
@pytest.mark.parametrize("name", ["TaylorSeer", "EasyCache", "CustomCache", "AdaCache"])
@pytest.mark.parametrize("options", [{}, {"forecast": "hold"}], ids=["auto", "hold"])
def test_a_host_that_writes_into_the_output_changes_nothing(
    wan, caching, model, traces, name, options
):
    from comfy.patcher_extension import WrappersMP

    def spoil(executor, *args, **kwargs):
        output = executor(*args, **kwargs)
        kept = output.clone()
        output.fill_(float("nan"))
        return kept

    spoilt = model.clone()
    spoilt.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "spoiling", spoil)
    found = [
        wan.sample(caching.applied(name, source, max_consecutive_skips=2, **options), 9)
        for source in (model, spoilt)
    ]
    assert torch.equal(*found)
    assert caching.metrics(traces[0]) == caching.metrics(traces[1])


@pytest.mark.parametrize("level", LEVELS)
def test_two_runs_are_the_same(wan, caching, model, traces, level):
    widgets = {"reuse_threshold": 0.4}
    cached = caching.applied("EasyCache", model, level=level, widgets=widgets)
    assert torch.equal(wan.sample(cached, STEPS), wan.sample(cached, STEPS))
    assert caching.metrics(traces[0]) == caching.metrics(traces[1])
    wan.sample(cached, STEPS, seed=5, size=(1, 6, 6))
    assert torch.equal(wan.sample(cached, STEPS), wan.sample(cached, STEPS))


def windows(model, schedule):
    nodes = pytest.importorskip("comfy_extras.nodes_context_windows")
    return nodes.WanContextWindowsManualNode.execute(
        model, context_length=13, context_overlap=5, context_schedule=schedule,
        context_stride=1, closed_loop=False, fuse_method="pyramid", freenoise=False,
    ).args[0]  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["TaylorSeer", "EasyCache", "CustomCache", "AdaCache"])
def test_context_windows(wan, caching, model, traces, name, level):
    fixed, way = windows(model, "standard_static"), {"size": (7, 8, 8)}
    plain = wan.sample(fixed, 4, **way)
    never = caching.applied(name, fixed, False, level)
    assert torch.equal(plain, wan.sample(never, 4, **way))
    cached = caching.applied(name, fixed, level=level, max_consecutive_skips=2)
    assert torch.isfinite(wan.sample(cached, 9, **way)).all()
    assert traces[1].failsafes() == {}
    done = caching.actions(traces[1])
    count = len(done) // 9  # hosts cut the clip into two windows or three
    assert {done[i::count] for i in range(count)} == {done[::count]}
    assert done[::count].count("R") >= 4


def test_every_window_is_judged_by_itself(wan, caching, model, traces):
    fixed = windows(model, "standard_static")
    latents, outputs = run(wan, caching, fixed, 0.0, way={"size": (7, 8, 8)}, correction="off")
    count = len(latents) // STEPS
    assert count > 1
    for window in range(count):
        naive = Naive(0.0, 2, 1).run(latents[window::count], outputs[window::count])
        close(caching.metrics(traces[0])[window::count], naive.sums)


def test_windows_that_move_are_no_failsafe(wan, caching, model, traces):
    """A window is new in the middle of the run: it is computed until there is a gain."""
    moving = windows(model, "standard_uniform")
    cached = caching.applied("EasyCache", moving, max_consecutive_skips=2)
    assert torch.isfinite(wan.sample(cached, 9, size=(7, 8, 8))).all()
    assert traces[0].failsafes() == {}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("threshold", [0.0, 10.0], ids=["computing", "reusing"])
@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate"])
@pytest.mark.parametrize("cfg_mode", ["cond", "separate"])
def test_an_evaluation_reads_back_once(
    wan, caching, watching, model, monkeypatch, run_separately,
    level, threshold, separately, cfg_mode,
):  # fmt: skip
    if separately:
        run_separately(model)
    reads = watching.counted_reads(monkeypatch)
    plain, before = watching.watched(model, reads)
    seen, during = watching.watched(model, reads)
    widgets, options = {"reuse_threshold": threshold}, {"cfg_mode": cfg_mode, "level": level}
    cached = caching.applied("EasyCache", seen, widgets=widgets, **options)
    wan.sample(cached, 2)
    during.clear()
    wan.sample(plain, 8)
    wan.sample(cached, 8)
    decisions = 2 if separately and cfg_mode == "separate" else 1
    ours = [one - other for one, other in zip(during, before, strict=True)]
    assert ours == [1, 1, *[decisions] * 6]


def test_its_hold_is_the_output_relative_to_the_input_per_branch(
    wan, caching, model, traces, run_separately
):
    """v = z + (v' - z') of the last computed step, for cond and uncond alike."""
    run_separately(model)
    outside, calls = caching.seeing(model)
    options = {"forecast": "hold", "max_consecutive_skips": 3}
    wan.sample(caching.applied("EasyCache", outside, **options), 12)
    for branch, label in ((0, "cond"), (1, "uncond")):
        mine = [call for call in calls if branch in call.branches]
        kept = None
        for what, call in zip(caching.actions(traces[0], label), mine, strict=True):
            relative = call.output - call.latent
            if what == "C":
                kept = relative
            torch.testing.assert_close(relative, kept, rtol=1e-5, atol=1e-5)
    assert caching.actions(traces[0]).count("R") >= 6


@pytest.mark.parametrize("value", [-0.1, 10.5])
def test_a_threshold_out_of_range_is_refused(caching, part, model, value):
    error = part("cache_core").StepCacheError
    with pytest.raises(error, match=rf"`reuse_threshold`.*{value}.*0 to 10"):
        caching.applied("EasyCache", model, widgets={"reuse_threshold": value})
