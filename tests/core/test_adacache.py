"""AdaCache against a naive reference of its publication."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from flow import DIM, EULER, SHAPE, TOKENS, Flow, flow_run, random_latent
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_adacache import NaiveAdaCache, interval_of
from naive_adacache import motion as naive_motion
from toy import TOY, pattern

import cache_core.call
from cache_core import RunFacts, StepCacheError
from cache_core.adacache import AdaCache, parse_codebook, relative_change, scaled
from cache_core.adacache_presets import GUARDS, OFFICIAL, PRESETS, AdaCacheChoice
from cache_core.config import GuardDefaults
from cache_core.motion import motion_of, regularised
from cache_core.policy import Seen

BOOK = {0.02: 6, 0.05: 4, 0.1: 3, 0.3: 2, 1.0: 1}
STEPS = 20
SIGMAS = torch.linspace(1, 0, STEPS + 1).tolist()


def policy_of(book=BOOK, **more):
    return AdaCache(tuple(sorted(book.items())), **{"downsample": 1, **more})


def drifting(seed, pace):
    """Features that drift: of a step, a branch and a block."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(SHAPE[0], TOKENS, DIM)) + 2
    drift = np.cumsum(pace * rng.uniform(0, 2, STEPS))
    turn = rng.normal(size=base.shape)

    def features(step, name="cond", block=2):
        own = {"cond": 1.0, "uncond": -3.0}[name] * (1 + 0.1 * (block != 2))
        return torch.tensor(own * (base + drift[step] * turn) + (block - 2) * step)

    return features


def still(x, sigma, branch):
    return 0 * x + 1


def sampled(policy, features, names=("cond",), guards=None, facts=EULER, **more):
    """A run of a toy flow with these features of its blocks."""
    split = more.pop("split", False)
    guards = guards or GuardDefaults(0.0, 0, None)
    run = flow_run(policy, sigmas=SIGMAS, guards=guards, facts=facts, forecast="hold", **more)
    Flow(run, still, names, split, features).sample(random_latent())
    assert run.trace.errors == 0
    return run


# Decisions


@settings(max_examples=60)
@given(
    seed=st.integers(0, 999),
    pace=st.sampled_from([0.003, 0.01, 0.03, 0.1, 0.3, 1.0]),
    warmup=st.integers(0, 6),
    last=st.integers(0, 3),
    every=st.sampled_from([1, 2, 3, 8]),
    motion=st.booleans(),
)
def test_decides_as_published_in_whole_samplings(seed, pace, warmup, last, every, motion):
    stride = 1 if motion else every  # motion compares the same places of neighbouring frames
    features = drifting(seed, pace)
    naive = NaiveAdaCache(BOOK, STEPS, warmup, last, SHAPE[2] if motion else None)
    told = naive.plan(lambda step: features(step).numpy()[:, ::stride])
    assume(naive.margin > 1e-3)
    policy = policy_of(downsample=every, motion=motion)
    guards = GuardDefaults(0.0, last, None, warmup)
    assert pattern(sampled(policy, features, guards=guards)) == told


def test_the_reference_tells_many_patterns():
    """Else the test above would tell nothing."""
    paces = (0.003, 0.01, 0.03, 0.1, 0.3)
    clips = [drifting(seed, pace) for seed in range(4) for pace in paces]
    told = {NaiveAdaCache(BOOK, STEPS).plan(lambda s, f=f: f(s).numpy()) for f in clips}
    assert len(told) > 8 and any("RRRR" in one for one in told)


@pytest.mark.parametrize("cfg_mode", ["cond", "separate"])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("names", [("cond", "uncond"), ("uncond", "cond")])
def test_only_the_deciding_rows_are_looked_at(names, split, cfg_mode):
    """The other branch has features that go anywhere."""
    cond, wild = drifting(3, 0.02), drifting(4, 9.0)

    def features(step, name, block):
        decides = name == (names[0] if split else "cond")
        return cond(step) if decides else wild(step, block=block)

    run = sampled(policy_of(), features, names, split=split, cfg_mode=cfg_mode)
    alone = pattern(sampled(policy_of(), lambda step, name, block: cond(step)))
    decider = names[0] if split else "cond"
    if cfg_mode == "cond":
        assert pattern(run, names[0]) == pattern(run, names[1]) == alone
    elif split:
        assert pattern(run, decider) == alone
        assert pattern(run, names[1]) != alone
    else:  # rows of one batch reuse together only
        assert pattern(run, "cond") == pattern(run, "uncond") != alone
    assert "R" in alone


@pytest.mark.parametrize(
    ("probe", "layers", "block"),
    [(-1, 30, 15), (-1, 40, 20), (-1, 3, 1), (-1, 1, 0), (0, 30, 0), (29, 30, 29), (35, 30, 29)],
)
def test_the_probed_block(probe, layers, block):
    policy = policy_of(probe_block=probe)
    assert policy.block(layers) == block
    run = flow_run(policy, sigmas=SIGMAS, layers=layers)
    assert {place: list(which) for place, which in run.watching.items()} == {block: [0]}


def test_what_other_blocks_show_is_not_looked_at():
    run = flow_run(policy_of(probe_block=1), sigmas=SIGMAS, forecast="hold")
    flow = Flow(run, still, blocks=drifting(1, 0.1))
    names, x = ("cond",), random_latent()
    run.begin(torch.tensor([1.0, 1.0]))
    call = cache_core.call.Call.of(run, flow.chunks(x, names), x)
    call.watch(2, *flow.block(2, names, 0))
    call.watch(1, *flow.block(1, names, 0))
    call.watch(3, *flow.block(3, names, 0))
    call.record_output(x)
    (group,) = run.groups.values()
    torch.testing.assert_close(group.states[0].features, drifting(1, 0.1)(0, block=1))


def test_a_block_that_is_never_seen_costs_the_reuse_only():
    run = flow_run(policy_of(), sigmas=SIGMAS, forecast="hold")
    run.watching.clear()
    Flow(run, still).sample(random_latent())
    assert pattern(run) == "C" * STEPS and run.trace.errors == 0


def test_features_of_another_shape_start_anew():
    features = drifting(3, 0.003)
    run = sampled(policy_of(), lambda s, n, b: features(s)[:, : TOKENS if s < 9 else 4])
    told = pattern(run)
    changed = told.index("C", 9)
    assert told[changed : changed + 2] == "CC" and "R" in told[changed + 2 :]


def test_the_device_is_read_only_when_something_new_was_measured(monkeypatch):
    reads, read = [], cache_core.call.read_scalars
    monkeypatch.setattr(cache_core.call, "read_scalars", lambda s: reads.append(len(s)) or read(s))
    for names, split in ((("cond",), False), (("cond", "uncond"), True)):
        reads.clear()
        told = pattern(sampled(policy_of(), drifting(3, 0.01), names, split=split))
        news = sum(told[i] == "C" for i in range(1, STEPS - 1))
        assert "RR" in told and reads == [1] * news


def test_the_sigma_comes_with_what_is_read_where_steps_are_not_counted(monkeypatch):
    reads, read = [], cache_core.call.read_scalars
    monkeypatch.setattr(cache_core.call, "read_scalars", lambda s: reads.append(len(s)) or read(s))
    run = sampled(policy_of(), drifting(3, 0.01), facts=RunFacts(steps=20.0))
    assert len(reads) == STEPS
    assert reads.count(2) == sum(pattern(run)[i] == "C" for i in range(1, STEPS - 1))


def test_steps_reused_in_other_ways_count_to_the_interval():
    policy = policy_of()
    state = policy.computed(policy.start(), Seen(features=torch.ones(1, 4, 2)))
    for _ in range(3):
        _, state = policy.judge(state, policy.distance(state, Seen()))
        state = policy.skipped(state, Seen())
    after = policy.computed(state, Seen(features=torch.full((1, 4, 2), 1.6)))
    assert after.change.item() == pytest.approx(0.6 / 3)
    verdict, judged = policy.judge(after, after.change.item())
    assert (verdict.reuse, verdict.metric, judged.change) == (True, 2.0, None)
    assert policy.distance(judged, Seen()) == 0.0


def test_states_do_not_change():
    policy = policy_of()
    state = policy.computed(policy.start(), Seen(features=torch.ones(1, 4, 2)))
    judged = policy.judge(state, 0.0)[1]
    assert (state.elapsed, judged.elapsed) == (0, 1)
    assert policy.computed(state, Seen()) == policy.start()
    assert policy.distance(policy.start(), Seen()) is None
    with pytest.raises(FrozenInstanceError):
        state.elapsed = 3


@given(every=st.integers(1, 9), seed=st.integers(0, 20))
def test_features_are_every_nth_token_that_the_block_adds_in_a_copy(every, seed):
    before, after = random_latent(seed, (2, 7, 3)), random_latent(seed + 50, (2, 7, 3))
    naive = (after - before).numpy()[:, [k for k in range(7) if k % every == 0]]
    features = policy_of(downsample=every).features(before, after)
    before.zero_(), after.zero_()  # hosts write into a block's output
    np.testing.assert_array_equal(features.numpy(), naive)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_changes_are_relative_to_the_step_before_and_in_fp32(dtype):
    now, before = random_latent(1, dtype=dtype), random_latent(2, dtype=dtype)
    naive = (now.double() - before.double()).abs().sum() / before.double().abs().sum()
    change = relative_change(now, before)
    assert change.dtype == torch.float32 and change.shape == ()
    assert change.item() == pytest.approx(naive.item(), rel=1e-5)


# Codebooks


LOOKED_UP = [
    (0.0, 12), (0.0299, 12), (0.03, 10), (0.069, 8), (0.07, 6), (0.0901, 4), (0.11, 3),
    (0.99, 3), (1.0, 3), (55.0, 3),
]  # fmt: skip


@pytest.mark.parametrize(("distance", "interval"), LOOKED_UP)
def test_the_first_key_above_the_distance_counts(distance, interval):
    book = parse_codebook(OFFICIAL["100 steps"][0])
    assert AdaCache(book).interval_for(distance) == interval == interval_of(dict(book), distance)


PARSED = [
    ("1:3", ((1.0, 3),)),
    ("0.03:12, 0.05:10, 1:3", ((0.03, 12), (0.05, 10), (1.0, 3))),
    ("0.03:12,0.05:10,1:3,", ((0.03, 12), (0.05, 10), (1.0, 3))),
    ("  0.03 : 12 \n 1 : 3\n", ((0.03, 12), (1.0, 3))),
    ("1e-3:2, 2.5:1", ((0.001, 2), (2.5, 1))),
]
WRONG = [
    "", " ", ",", ":", "0.1", "0.1:", ":3", "0.1:3:4", "0.1;3", "a:3", "0.1:b", "0.1:2.5",
    "0.1:0", "0.1:-2", "-0.1:2", "0:2", "nan:2", "inf:2", "0.1:inf", "0.2:3, 0.1:4",
    "0.1:3, 0.1:4", "0.1:3, 0.2:4, 0.15:2", "0.1:3 0.2:4", "{0.1: 3}",
]  # fmt: skip


@pytest.mark.parametrize(("text", "book"), PARSED)
def test_codebooks_are_read(text, book):
    assert parse_codebook(text) == book


@pytest.mark.parametrize("text", WRONG)
def test_wrong_codebooks_are_refused_with_the_remedy(text):
    with pytest.raises(StepCacheError) as refusal:
        parse_codebook(text)
    told = str(refusal.value)
    assert told.startswith(f"`codebook` is {text!r}, but must be ") and "'0.03:12, " in told


PUBLISHED = {  # AdaCache-DiT/AdaCache
    ("100 steps", 100): {0.03: 12, 0.05: 10, 0.07: 8, 0.09: 6, 0.11: 4, 1.0: 3},
    ("30 steps fast", 30): {0.08: 6, 0.16: 5, 0.24: 4, 0.32: 3, 0.40: 2, 1.0: 1},
    ("30 steps slow", 30): {0.08: 3, 0.16: 2, 0.24: 1, 0.32: 1, 0.40: 1, 1.0: 1},
}


def test_official_codebooks_are_the_published_ones():
    read = {(name, n): dict(parse_codebook(text)) for name, (text, n) in OFFICIAL.items()}
    assert read == PUBLISHED


@given(key=st.sampled_from(sorted(PUBLISHED)), steps=st.integers(1, 200))
def test_a_codebook_for_other_steps_covers_the_same_part_of_the_schedule(key, steps):
    made_for, official = key[1], tuple(sorted(PUBLISHED[key].items()))
    found = scaled(official, made_for, steps)
    for (distance, interval), (d, n) in zip(found, official, strict=True):
        assert distance * steps == pytest.approx(d * made_for)
        assert interval == 1 or abs(interval - n * steps / made_for) <= 0.5 + 1e-9
        assert isinstance(interval, int) and interval >= 1
    assert scaled(official, made_for, made_for) == official
    AdaCache(found)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("steps", [None, 10, 20, 30, 50, 100])
def test_presets_are_scaled_to_the_run(preset, steps):
    text, made_for = OFFICIAL[PRESETS[preset]]
    method = AdaCacheChoice(preset, "1:1", node_id="4").resolve(TOY, steps)
    expected = scaled(parse_codebook(text), made_for, steps or made_for)
    assert method.policy.codebook == expected
    assert (method.guards, method.preset, method.node_id) == (GUARDS, preset, "4")
    assert "scaled" in method.source and "untested" in method.source


def test_a_codebook_by_hand_is_taken_as_it_is():
    method = AdaCacheChoice("custom", "0.1:4, 1:2", 0, True).resolve(TOY, 10)
    assert method.policy == AdaCache(((0.1, 4), (1.0, 2)), 0, True)
    assert method.source == "set by hand"
    with pytest.raises(StepCacheError):
        AdaCacheChoice("custom", "fast").resolve(TOY)


def test_blocks_that_are_not_there_are_refused():
    deep = replace(TOY, layers=30)
    AdaCacheChoice("fast", "1:1", 29).resolve(deep)
    with pytest.raises(StepCacheError, match="`probe_block` is 30, but must be below 30"):
        AdaCacheChoice("fast", "1:1", 30).resolve(deep)
    with pytest.raises(StepCacheError, match="`probe_block` is -2"):
        AdaCacheChoice("fast", "1:1", -2).resolve(deep)


def test_the_numbers_are_told():
    assert policy_of({0.1: 3, 1.0: 1}).describe() == "intervals by the middle block: 0.1:3, 1:1"
    told = policy_of({1.0: 2}, probe_block=4, motion=True).describe()
    assert told == "intervals by block 4: 1:2, motion"


# Motion


@given(frames=st.integers(1, 5), each=st.integers(1, 4), seed=st.integers(0, 99))
def test_motion_is_the_change_between_neighbouring_frames(frames, each, seed):
    features = random_latent(seed, (2, frames * each, 3), torch.float32)
    naive = naive_motion(features.double().numpy(), frames)
    found = motion_of(features, torch.zeros(2, 4, frames, 2, 2))
    assert (found is None) == (naive is None) == (frames == 1)
    if found is not None:
        assert found.dtype == torch.float32 and found.item() == pytest.approx(naive, rel=1e-4)


def test_no_motion_without_a_latent_or_with_fewer_tokens_than_frames():
    assert motion_of(torch.ones(1, 8, 2), None) is None
    assert motion_of(torch.ones(1, 3, 2), torch.zeros(1, 4, 5, 2, 2)) is None


@given(m=st.floats(0.05, 0.9), before=st.floats(0.05, 0.9), interval=st.integers(1, 12))
def test_the_factor_of_a_motion(m, before, interval):
    strength, past = (m / 0.385) ** 8, (before / 0.385) ** 8
    naive = strength + abs(10 * (strength - past) / interval)
    found = regularised(torch.tensor(m), torch.tensor(before), interval)
    assert found.item() == pytest.approx(naive, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("each", [8, 12, 15, 16])
def test_a_still_clip_does_not_move_whatever_the_tokens_of_a_frame(each):
    """Every frame alike: the same places of neighbouring frames are compared."""
    frames = 4
    clip = random_latent(1, (1, each, 6), torch.float32).repeat(1, frames, 1)
    policy = policy_of(downsample=8, motion=True)
    seen = policy.features(torch.zeros_like(clip), clip)
    assert motion_of(seen, torch.zeros(1, 4, frames, 2, 2)).item() == 0.0


@pytest.mark.parametrize("frames", [1, 2])
def test_a_single_frame_is_judged_without_motion(frames):
    shape = (SHAPE[0], 3, frames, 4, 5)
    policy, sights = policy_of(motion=True), []
    for seed in (1, 2):
        features = random_latent(seed, (2, 8, 3)) + 3
        sights.append(Seen(latent=torch.zeros(shape), features=features))
    state = policy.computed(policy.computed(policy.start(), sights[0]), sights[1])
    plain = relative_change(sights[1].features, sights[0].features).item()
    assert (state.change.item() == pytest.approx(plain)) == (frames == 1)
