"""A run reuses exactly what a naive, independent simulation of first block caching reuses."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_fbcache import NaiveFBCache, Numbers
from toy import Rows, make_run, sample

from cache_core import FBCache
from cache_core.config import GuardDefaults

NAMES = ("cond", "uncond", "third")
FEATURES = st.sampled_from([1.0, 1.0, 1.02, 1.05, 1.1, 1.2, 1.4, 2.0])
THRESHOLDS = st.sampled_from([0.08, 0.16, 0.27, 0.03, 0.55, 0.98, 0.0])


@st.composite
def regular(draw, most_steps=12):
    """Every evaluation asks for the same conditions in the same calls."""
    layout = draw(
        st.sampled_from(
            [
                [["cond", "uncond"]],
                [["cond"], ["uncond"]],
                [["uncond"], ["cond"]],
                [["uncond", "cond"]],
                [["cond"]],
                [["cond", "uncond", "third"]],
                [["cond", "uncond"], ["third"]],
                [["cond", "cond"], ["uncond", "uncond"]],
            ]
        )
    )
    count = draw(st.integers(2, most_steps))
    return [
        [[Rows(name, draw(FEATURES)) for name in call] for call in layout] for _ in range(count)
    ]


@st.composite
def irregular(draw, most_steps=10):
    """Branches appear, vanish, repeat and change shape; two context windows."""
    names_of_call = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)
    call = st.tuples(names_of_call, st.sampled_from([0, 0, 1]))
    layouts = draw(st.lists(st.lists(call, min_size=1, max_size=3), min_size=1, max_size=3))
    count = draw(st.integers(2, most_steps))
    return [
        [
            [Rows(name, draw(FEATURES), window, tokens) for name in names]
            for names, window in draw(st.sampled_from(layouts))
            for tokens in [draw(st.sampled_from([6] * 9 + [4]))]
        ]
        for _ in range(count)
    ]


@st.composite
def numbers(draw):
    """Anything a user may set; window edges lie between the points of the schedule."""
    steps = draw(st.integers(4, 12))
    edges = st.sets(st.integers(0, steps), min_size=2, max_size=2).map(sorted)
    first, end = draw(st.one_of(st.just((0, steps)), st.just((0, steps)), edges))
    return Numbers(
        sigmas=[1 - step / steps for step in range(steps + 1)],
        threshold=draw(THRESHOLDS),
        ema=draw(st.sampled_from([0.0, 0.0, 0.3, 0.8])),
        warmup=draw(st.sampled_from([0, 0, 0, 1, 2, 3])),
        last=draw(st.sampled_from([0, 0, 1, 2])),
        most=draw(st.sampled_from([None, None, 1, 2, 3, 0])),
        start_percent=max(0.0, (first - 0.37) / steps),
        end_percent=min(1.0, (end + 0.37) / steps),
        separate=draw(st.booleans()),
    )


def run_of(n):
    """A run with these numbers, over the same schedule."""
    return make_run(
        FBCache(n.threshold, downsample=1, ema=n.ema),
        steps=len(n.sigmas) - 1,
        guards=GuardDefaults(0.0, n.last, n.most),
        warmup_steps=n.warmup,
        start_percent=n.start_percent,
        end_percent=n.end_percent,
        cfg_mode="separate" if n.separate else "cond",
    )


def places(n, count, stages):
    """The sigmas of ``count`` evaluations, ``stages`` to a step, the last at its end."""
    within = {1: [0.0], 2: [0.0, 1.0], 3: [0.0, 0.5, 1.0]}[stages]
    steps = len(n.sigmas) - 1
    index = [(min(i // stages, steps - 1), within[i % stages]) for i in range(count)]
    return [n.sigmas[i] + part * (n.sigmas[i + 1] - n.sigmas[i]) for i, part in index]


def check(script, n, sigmas, unless_tied):
    naive = NaiveFBCache(n)
    expected = naive.sample(script, sigmas)
    unless_tied(naive.margin > 1e-4)
    run = run_of(n)
    values = sample(run, script, sigmas)
    assert values == expected
    assert run.evaluations == len(script)
    assert len(run.trace.records) == sum(len(rows) for calls in script for rows in calls)
    assert run.trace.errors == 0
    return run


@settings(max_examples=300)
@given(regular(), numbers(), st.integers(1, 3))
def test_samplers_that_ask_for_the_same_branches_every_time(script, n, stages):
    check(script, n, places(n, len(script), stages), assume)


@settings(max_examples=300)
@given(irregular(), numbers(), st.integers(1, 3))
def test_branches_that_come_and_go(script, n, stages):
    check(script, n, places(n, len(script), stages), assume)


def no_tie(certain):
    assert certain


@pytest.mark.parametrize("layout", [[["cond", "uncond"]], [["cond"], ["uncond"]]])
@pytest.mark.parametrize("separate", [False, True], ids=["cond decides", "separate"])
def test_a_long_sampling_at_every_threshold(layout, separate):
    sigmas = [1 - step / 40 for step in range(41)]
    sizes = [1 + 0.9 * step / 40 + 0.05 * (step * 7 % 5) for step in range(40)]
    script = [
        [[Rows(name, size * (1 + (name == "uncond") * 0.3)) for name in call] for call in layout]
        for size in sizes
    ]
    reused = set()
    for threshold in (0.0, 0.031, 0.083, 0.17, 0.52, 1.0):
        n = Numbers(sigmas, threshold, warmup=4, last=1, most=3, separate=separate)
        run = check(script, n, sigmas[:-1], no_tie)
        reused.add(sum(record.method is not None for record in run.trace.records))
    assert min(reused) == 0 and len(reused) >= 4
