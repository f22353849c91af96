"""EasyCache against a naive reference of its publication."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from flow import EULER, GUIDANCE, Flow, flow_run, random_latent
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_easycache import NaiveEasyCache, mean
from toy import TOY, pattern

import cache_core.call
from cache_core import RunFacts, StepCacheError
from cache_core.config import GuardDefaults
from cache_core.easycache import EasyCache
from cache_core.easycache_presets import GUARDS, PRESETS, EasyCacheChoice
from cache_core.policy import Seen

STEPS = 24


def fields(seed):
    """Velocities of both branches, from latents and sigma, for tensors and arrays alike."""
    rng = np.random.default_rng(seed)
    pull, turn, push, other = rng.uniform(0.2, 2.5, 4)
    return {
        "cond": lambda x, s: -pull * x + push * np.sin(9 * turn * s),
        "uncond": lambda x, s: -other * x + push * s,
    }


def schedule(seed, steps=STEPS):
    """Falling noise levels at uneven distances."""
    falls = np.random.default_rng(seed).uniform(0.2, 1.8, steps)
    return [0.98, *(0.98 - 0.98 * np.cumsum(falls)[:-1] / falls.sum()).tolist(), 0.0]


def cached(threshold, ret, seed, names, split=False, steps=STEPS, **more):
    """A sampling under EasyCache as published, without a forecast: its run and path."""
    guards = GuardDefaults(0.0, 1, None, ret)
    told = {"forecast": "hold", "correction": "off", "guards": guards}
    run = flow_run(EasyCache(threshold), sigmas=schedule(seed, steps), **told)
    velocities = fields(seed)
    flow = Flow(run, lambda x, s, name: velocities[name](x, s), names, split, **more)
    return run, flow.sample(random_latent(seed))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 999),
    threshold=st.sampled_from([0.0, 0.01, 0.03, 0.1, 0.3, 1.0]),
    ret=st.integers(0, 6),
    names=st.sampled_from([("cond",), ("uncond",), ("cond", "uncond")]),
    split=st.booleans(),
    meddles=st.booleans(),
)
def test_decides_as_published_in_whole_samplings(seed, threshold, ret, names, split, meddles):
    sigmas = schedule(seed)
    naive = NaiveEasyCache(threshold, ret, STEPS)
    weights = GUIDANCE if len(names) == 2 else dict.fromkeys(names, 1.0)
    velocities = {name: fields(seed)[name] for name in names}
    path = naive.sample(random_latent(seed).numpy(), sigmas, velocities, weights)
    assume(naive.margin > 1e-4)
    run, found = cached(threshold, ret, seed, names, split, meddles=meddles)
    assert {pattern(run, name) for name in names} == {naive.told}
    told = [r.metric for r in run.trace.records if r.branch == names[0]]
    for metric, expected in zip(told, naive.sums, strict=True):
        assert metric == (None if expected is None else pytest.approx(expected, rel=1e-3, abs=1e-5))
    size = 1 + np.abs(path[-1]).max()
    np.testing.assert_allclose(found[-1].numpy(), path[-1], rtol=0, atol=1e-4 * size)
    assert run.trace.errors == 0


def test_the_reference_tells_reuse_from_computing():
    """Else the test above would tell nothing."""
    told = set()
    for seed in range(12):
        naive = NaiveEasyCache(0.1, 2, STEPS)
        naive.sample(random_latent(seed).numpy(), schedule(seed), {"cond": fields(seed)["cond"]},
                     {"cond": 1.0})  # fmt: skip
        told.add(naive.told)
    assert len(told) > 6 and all("R" in one and "C" in one[3:-1] for one in told)


def test_changes_are_from_step_to_step_and_not_since_the_last_computed_one():
    """Three skips at an even pace add up to three paces, not to six."""
    policy = EasyCache(9.0)
    state = policy.start()
    ones = torch.ones(1, 2, 1, 2, 2)
    for z, v in ((0.0, 1.0), (1.0, 3.0)):
        state = policy.computed(state, Seen(latent=z * ones, output=v * ones))
    sums = []
    for z in (2.0, 3.0, 4.0):
        seen = Seen(latent=z * ones)
        verdict, state = policy.judge(state, policy.distance(state, seen).item())
        state = policy.skipped(state, seen)
        sums.append(verdict.metric)
    assert sums == pytest.approx([2 / 3, 4 / 3, 6 / 3])  # k = 2 / 1, over mean|v| = 3


def test_the_gain_is_that_between_the_last_two_computed_steps():
    policy, state = EasyCache(1.0), EasyCache(1.0).start()
    ones = torch.ones(1, 1, 1, 2, 2)
    for z, v in ((0.0, 1.0), (1.0, 5.0), (2.0, 4.0)):
        state = policy.computed(state, Seen(latent=z * ones, output=v * ones))
    distance = policy.distance(state, Seen(latent=2.5 * ones))
    assert distance.item() == pytest.approx(1.0 * 0.5 / 4.0)
    assert distance.shape == () and distance.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_compared_in_fp32(dtype):
    policy, state = EasyCache(1.0), EasyCache(1.0).start()
    z, v = ([random_latent(k + s, dtype=dtype) for k in range(3)] for s in (0, 50))
    for k in range(2):
        state = policy.computed(state, Seen(latent=z[k], output=v[k]))
    z, v = ([t.double().numpy() for t in several] for several in (z, v))
    gain = mean(v[1] - v[0]) / mean(z[1] - z[0]) / mean(v[1])
    seen = Seen(latent=torch.tensor(z[2]).to(dtype))
    assert policy.distance(state, seen).item() == pytest.approx(gain * mean(z[2] - z[1]), rel=1e-4)


ONE = torch.ones(1, 1, 1, 2, 2)
UNKNOWN = {
    "nothing computed": [],
    "one computed": [Seen(latent=ONE, output=ONE)],
    "another shape": [Seen(latent=ONE[..., :1], output=ONE[..., :1])] * 2,
    "a shape before that": [Seen(latent=ONE[..., :1], output=ONE[..., :1]),
                            Seen(latent=ONE, output=ONE)],
    "outputs not seen": [Seen(latent=ONE), Seen(latent=ONE)],
    "nothing seen last": [Seen(latent=ONE, output=ONE)] * 2 + [Seen()],
}  # fmt: skip


@pytest.mark.parametrize("before", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_no_distance_before_two_comparable_steps(before):
    policy = EasyCache(1.0)
    state = policy.start()
    for seen in before:
        state = policy.computed(state, seen)
    assert policy.distance(state, Seen(latent=ONE)) is None


def test_a_still_latent_has_no_gain_and_is_computed():
    sigmas = [0.9, 0.9, 0.9, 0.9, 0.5]
    run = flow_run(EasyCache(9.0), sigmas=sigmas, facts=RunFacts(steps=20.0), forecast="hold")
    Flow(run, lambda x, s, b: 0.5 * x).sample(random_latent())
    assert pattern(run)[:4] == "CCCC"
    assert run.trace.failsafes()["metric not finite"] == 2


def test_the_second_step_has_no_gain_yet_and_that_is_as_expected():
    run = flow_run(EasyCache(0.1), sigmas=schedule(1), forecast="hold")
    Flow(run, lambda x, s, b: fields(1)["cond"](x, s)).sample(random_latent())
    assert pattern(run).startswith("CC") and "R" in pattern(run)
    assert run.trace.failsafes() == {}


@pytest.mark.parametrize("facts", [EULER, RunFacts(steps=40.0)], ids=["counted", "read"])
@pytest.mark.parametrize("split", [False, True])
def test_the_device_is_waited_for_once_an_evaluation(facts, split, monkeypatch):
    reads, read = [], cache_core.call.read_scalars
    monkeypatch.setattr(cache_core.call, "read_scalars", lambda s: reads.append(len(s)) or read(s))
    run = flow_run(EasyCache(0.2), sigmas=schedule(1), facts=facts, forecast="hold")
    velocities = fields(1)
    flow = Flow(run, lambda x, s, name: velocities[name](x, s), ("cond", "uncond"), split)
    flow.sample(random_latent())
    assert reads == [1, 1] + [2] * (STEPS - 2)


class Blind(Flow):
    """A model whose blocks nobody may look at."""

    def block(self, block, names, step):
        raise AssertionError("a block was observed")


def wild_branch(order, wild):
    """Which steps of cond are reused when a branch of the batch has velocities that go anywhere."""
    run = flow_run(EasyCache(0.15), sigmas=schedule(2), forecast="hold", correction="off")

    def velocity(x, s, name):
        return fields(2)["cond"](x, s) + (50 * np.sin(40 * s) if name == wild else 0)

    flow = Blind(run, velocity, order)
    for step, sigma in enumerate(run.schedule.sigmas[:-1]):
        flow.evaluate(random_latent() * (1 + step / 90), step, sigma)
    assert pattern(run) == pattern(run, "uncond")
    return pattern(run)


@pytest.mark.parametrize("order", [("cond", "uncond"), ("uncond", "cond")])
def test_in_a_batch_only_the_rows_of_cond_decide_without_a_look_inside(order):
    tame = wild_branch(order, None)
    assert wild_branch(order, "uncond") == tame != wild_branch(order, "cond")
    assert "R" in tame


def test_states_do_not_change_and_reset_on_compute():
    policy = EasyCache(0.5)
    first = policy.computed(policy.start(), Seen(latent=ONE, output=ONE))
    second = policy.computed(first, Seen(latent=2 * ONE, output=3 * ONE))
    judged = policy.judge(second, 0.3)[1]
    moved = policy.skipped(judged, Seen(latent=4 * ONE))
    assert (first.total, second.total, judged.total, moved.total) == (0, 0, 0.3, 0.3)
    assert moved.computed_latent is second.computed_latent and moved.gain is second.gain
    assert second.latent is not moved.latent
    assert policy.computed(moved, Seen(latent=5 * ONE, output=ONE)).total == 0
    with pytest.raises(FrozenInstanceError):
        second.total = 1.0


@pytest.mark.parametrize(
    ("threshold", "distances", "reused"),
    [
        (0.1, [0.05], [True]), (0.1, [0.1], [False]), (0.1, [0.06, 0.06], [True, False]),
        (0.0, [0.0], [False]), (0.1, [0.03, 0.03, 0.03, 0.03], [True, True, True, False]),
    ],
)  # fmt: skip
def test_reuses_while_the_sum_is_strictly_below_the_threshold(threshold, distances, reused):
    policy, state, told = EasyCache(threshold), EasyCache(threshold).start(), []
    for distance in distances:
        verdict, state = policy.judge(state, distance)
        told.append(verdict.reuse)
    assert told == reused


@pytest.mark.parametrize("threshold", [-0.1, 10.5, float("nan")])
def test_impossible_thresholds_are_refused(threshold):
    with pytest.raises(StepCacheError, match=r"`reuse_threshold` is .*, but must be 0 to 10"):
        EasyCache(threshold)


def test_presets_are_the_published_ones_or_say_so():
    assert PRESETS["balanced"] == 0.05 and list(PRESETS) == ["quality", "balanced", "fast"]
    assert sorted(PRESETS.values()) == list(PRESETS.values())
    assert (GUARDS.warmup(50), GUARDS.last_steps, GUARDS.max_consecutive_skips) == (10, 1, None)
    for preset, threshold in PRESETS.items():
        method = EasyCacheChoice(preset, 7.0, "5").resolve(TOY, 30)
        assert method.policy == EasyCache(threshold) and method.node_id == "5"
        assert "published" in method.source and method.preset == preset
    method = EasyCacheChoice("custom", 0.33).resolve(TOY)
    assert (method.policy.threshold, method.source) == (0.33, "set by hand")
    assert "0.33" in replace(method.policy).describe()
