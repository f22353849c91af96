"""FBCache's rule, against a naive reference written from its publication."""

import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from cache_core import FBCache, StepCacheError
from cache_core.policy import Seen

METRICS = ("residual_rel_l1", "hidden_rel_l1", "hidden_rel_l2")
ROWS, TOKENS, DIM = 2, 11, 5


def block_0(seed, size=1.0, dtype=torch.float32):
    """Block 0's input and output: [rows, tokens, dim] each."""
    generator = torch.Generator().manual_seed(seed)
    before, change = torch.randn(2, ROWS, TOKENS, DIM, generator=generator, dtype=torch.float64)
    return (size * before).to(dtype), (size * (before + 0.5 * change)).to(dtype)


def naive_signal(metric, every, before, after):
    """f = block_0(x) - x, or block_0(x), at every n-th token, in fp64."""
    before, after = before.double().numpy(), after.double().numpy()
    kept = [token for token in range(before.shape[1]) if token % every == 0]
    whole = after - before if metric == "residual_rel_l1" else after
    return np.stack([whole[:, token] for token in kept], axis=1)


def naive_change(metric, reference, now):
    """mean|f_ref - f| / mean|f_ref|, or the same in root mean squares."""
    if metric == "hidden_rel_l2":
        return np.sqrt(((reference - now) ** 2).sum()) / np.sqrt((reference**2).sum())
    return np.abs(reference - now).sum() / np.abs(reference).sum()


def seen(policy, before, after):
    """What the policy sees of a block."""
    return Seen(features=policy.features(before, after))


def measured(policy, state, before, after):
    """The policy's distance as a number."""
    return policy.distance(state, seen(policy, before, after)).item()


def remembering(policy, before, after):
    """The policy's state after an evaluation with this block 0 was computed."""
    return policy.computed(policy.start(), seen(policy, before, after))


@given(
    metric=st.sampled_from(METRICS),
    every=st.integers(1, TOKENS + 1),
    ema=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    threshold=st.floats(0.0, 1.0),
    drift=st.lists(st.floats(-0.6, 0.6), min_size=1, max_size=8),
)
def test_decides_as_the_published_rule_does(metric, every, ema, threshold, drift):
    policy = FBCache(threshold, metric, every, ema)
    state, reference, mean = policy.start(), None, None
    for index, size in enumerate([0.0, *drift]):
        before, after = block_0(7)
        after = after + size * block_0(100 + index)[1]
        sight = seen(policy, before, after)
        distance = policy.distance(state, sight)
        signal = naive_signal(metric, every, before, after)
        hit = False
        assert (distance is None) == (reference is None)
        if distance is not None:
            change = naive_change(metric, reference, signal)
            mean = change if mean is None else ema * mean + (1 - ema) * change
            assume(abs(mean - threshold) > 1e-4)
            hit = mean < threshold
            verdict, state = policy.judge(state, distance.item())
            assert verdict.metric == pytest.approx(mean, rel=1e-4, abs=1e-6)
            assert verdict.reuse == hit
        if not hit:
            reference = signal
        state = policy.skipped(state, sight) if hit else policy.computed(state, sight)


@pytest.mark.parametrize("metric", METRICS)
def test_a_hit_leaves_the_reference_so_slow_drift_is_found(metric):
    policy = FBCache(0.25, metric, 1)
    before, after = torch.zeros(ROWS, TOKENS, DIM), block_0(1)[1]
    state, hits = policy.start(), []
    for step in range(12):
        sight = seen(policy, before, after * (1 + 0.1 * step))
        distance = policy.distance(state, sight)
        reuse = False
        if distance is not None:
            verdict, state = policy.judge(state, distance.item())
            reuse = verdict.reuse
        state = policy.skipped(state, sight) if reuse else policy.computed(state, sight)
        hits.append(reuse)
    # sizes 1.0 1.1 ... 2.1: computed at 1.0, 1.3 (1.3/1.0), 1.7 (1.7/1.3)
    assert "".join("-R"[hit] for hit in hits) == "-RR-RRR-RRRR"


@given(metric=st.sampled_from(METRICS), every=st.integers(1, 16), seed=st.integers(0, 99))
def test_the_same_features_are_at_distance_zero(metric, every, seed):
    policy = FBCache(0.1, metric, every)
    blocks = block_0(seed)
    assert measured(policy, remembering(policy, *blocks), *blocks) == 0.0


@given(metric=st.sampled_from(METRICS), seed=st.integers(0, 99), power=st.integers(-12, 12))
def test_the_distance_does_not_depend_on_the_scale_of_the_model(metric, seed, power):
    policy = FBCache(0.1, metric, 2)
    plain = measured(policy, remembering(policy, *block_0(seed)), *block_0(seed + 1))
    size = 2.0**power
    scaled = measured(policy, remembering(policy, *block_0(seed, size)), *block_0(seed + 1, size))
    assert scaled == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_bf16_features_are_compared_in_fp32(metric):
    policy = FBCache(0.1, metric, 1)
    reference, now = (block_0(seed, dtype=torch.bfloat16) for seed in (3, 4))
    sights = [seen(policy, *blocks) for blocks in (reference, now)]
    assert [sight.features.dtype for sight in sights] == [torch.bfloat16] * 2
    distance = policy.distance(policy.computed(policy.start(), sights[0]), sights[1])
    exact = naive_change(metric, *(sight.features.double().numpy() for sight in sights))
    assert distance.dtype == torch.float32
    assert distance.item() == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("every", [1, 2, 8, TOKENS + 1])
def test_features_are_every_nth_token_of_a_copy(metric, every):
    policy = FBCache(0.1, metric, every)
    before, after = block_0(5)
    expected = naive_signal(metric, every, before, after)
    features = policy.features(before, after)
    after.zero_(), before.zero_()  # hosts write into a block's output
    assert features.shape == (ROWS, -(-TOKENS // every), DIM)
    np.testing.assert_allclose(features.numpy(), expected, rtol=1e-5, atol=1e-6)


CANNOT_COMPARE = {
    "nothing computed yet": None,
    "another shape": torch.zeros(ROWS, TOKENS + 1, DIM),
    "another shape of the same size": torch.zeros(TOKENS, ROWS, DIM),
    "a shape that would broadcast": torch.zeros(1, TOKENS, DIM),
    "another dtype": torch.zeros(ROWS, TOKENS, DIM, dtype=torch.float64),
}


@pytest.mark.parametrize("reference", CANNOT_COMPARE.values(), ids=CANNOT_COMPARE.keys())
def test_no_distance_without_a_comparable_reference(reference):
    policy = FBCache(0.1, downsample=1)
    state = policy.computed(policy.start(), Seen(features=reference))
    assert policy.distance(state, Seen(features=torch.ones(ROWS, TOKENS, DIM))) is None


def test_what_nobody_saw_is_at_no_distance_and_teaches_nothing():
    policy = FBCache(0.1, downsample=1)
    known = policy.computed(policy.start(), Seen(features=torch.ones(ROWS, TOKENS, DIM)))
    assert policy.distance(known, Seen()) is None
    assert policy.computed(known, Seen()) is known


@pytest.mark.parametrize("metric", METRICS)
def test_equal_mean_magnitude_is_not_equality(metric):
    policy = FBCache(0.1, metric, 1)
    before, after = block_0(6)
    opposite = -after if metric.startswith("hidden") else 2 * before - after
    distance = measured(policy, remembering(policy, before, after), before, opposite)
    assert distance == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("change", [0.0, 1.0])
def test_a_change_against_zeros_is_not_finite_and_so_never_reused(metric, change):
    policy = FBCache(1.0, metric, 1)
    nothing = torch.zeros(ROWS, TOKENS, DIM)
    state = remembering(policy, nothing, nothing)
    assert not math.isfinite(measured(policy, state, nothing, nothing + change))


JUDGED = [  # threshold, ema, distances -> reused, metric of the last
    (0.1, 0.0, [0.05], True, 0.05),
    (0.1, 0.0, [0.1], False, 0.1),
    (0.1, 0.0, [0.2, 0.05], True, 0.05),
    (0.0, 0.0, [0.0], False, 0.0),
    (0.1, 0.5, [0.2, 0.05], False, 0.125),
    (0.1, 0.5, [0.2, 0.05, 0.05], True, 0.0875),
    (0.1, 0.9, [0.05], True, 0.05),
]


@pytest.mark.parametrize(("threshold", "ema", "distances", "reused", "metric"), JUDGED)
def test_reuses_strictly_below_the_threshold_of_the_running_mean(
    threshold, ema, distances, reused, metric
):
    policy = FBCache(threshold, ema=ema)
    state = policy.start()
    for distance in distances:
        verdict, state = policy.judge(state, distance)
    assert (verdict.reuse, verdict.metric) == (reused, pytest.approx(metric))


def test_a_policy_and_its_states_never_change():
    policy = FBCache(0.1, ema=0.5)
    start = policy.start()
    learnt = policy.computed(start, Seen(features=torch.ones(1, 2, 3)))
    judged = policy.judge(learnt, 0.3)[1]
    assert (start.reference, start.mean) == (None, None)
    assert (learnt.mean, judged.mean) == (None, 0.3)
    assert policy.start() == start
    assert policy.judge(policy.start(), 0.7)[1].mean == 0.7
    for frozen, name in ((policy, "threshold"), (start, "reference"), (judged, "mean")):
        with pytest.raises(FrozenInstanceError):
            setattr(frozen, name, 0.5)


REFUSED = [  # numbers, the input and value named, the remedy
    ({"threshold": -0.01}, "`residual_diff_threshold` is -0.01", "0 to 1"),
    ({"threshold": 1.5}, "`residual_diff_threshold` is 1.5", "0 to 1"),
    ({"threshold": float("nan")}, "`residual_diff_threshold` is nan", "0 to 1"),
    ({"metric": "cosine"}, "`metric` is 'cosine'", "one of " + ", ".join(METRICS)),
    ({"downsample": 0}, "`downsample` is 0", "1 (all tokens) or more"),
    ({"ema": 1.0}, "`ema` is 1.0", "0 (off) or more and below 1"),
    ({"ema": -0.1}, "`ema` is -0.1", "0 (off) or more and below 1"),
]


@pytest.mark.parametrize(("numbers", "named", "remedy"), REFUSED)
def test_impossible_numbers_are_refused_with_the_remedy(numbers, named, remedy):
    with pytest.raises(StepCacheError) as refusal:
        FBCache(**{"threshold": 0.1, **numbers})
    assert str(refusal.value) == f"{named}, but must be {remedy}."


def test_extremes_are_allowed_and_numbers_are_told():
    assert FBCache(0.0, downsample=1).describe().startswith("residual_rel_l1 < 0, ")
    policy = replace(FBCache(1.0), metric="hidden_rel_l2", downsample=4, ema=0.3)
    for number in ("hidden_rel_l2 < 1", "4", "ema 0.3"):
        assert number in policy.describe()
    assert "ema" not in FBCache(0.1).describe()
    assert policy.name == "FBCache"
