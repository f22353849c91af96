"""Samplings in parts: which go on with which, and what is left of the warm-up."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import TOY, batched, pattern, sample, story

from cache_core import CacheConfig, FBCache, Identity, Method, Options, Run, RunFacts, Schedule
from cache_core.config import GuardDefaults
from cache_core.continuing import (
    Stretch,
    continues,
    count_experts,
    same_expert,
    steps_before,
    whole_schedules,
)
from cache_core.guards import guards_of
from cache_core.variants import variants_of

WAN = ("t2v", "14B")
HIGH = Stretch(WAN, "high", "file a", (480, 832), 1.0, 0.95, steps=4)
MORE = replace(HIGH, first_sigma=0.95, last_sigma=0.875, steps=6, before=4)
LOW = replace(HIGH, expert="low", weights="file b", first_sigma=0.875, last_sigma=0.0, steps=10)

LATER = {  # changes of MORE, and whether it goes on with HIGH
    "the next part": ({}, True),
    "a LoRA merged into another file": ({"weights": "file c"}, True),
    "the other expert": ({"expert": "low", "weights": "file b"}, False),
    "both experts on one model": ({"expert": "low"}, False),
    "not known to be an expert, one model": ({"expert": None}, True),
    "not known to be an expert, another model": ({"expert": None, "weights": "file c"}, False),
    "an expert of another model": ({"kind": ("i2v", "14B")}, False),
    "a rounded sigma": ({"first_sigma": 0.95 * (1 + 5e-5)}, True),
    "a sigma further down": ({"first_sigma": 0.94}, False),
    "a sigma further up": ({"first_sigma": 0.96}, False),
    "the same sigmas again": ({"first_sigma": 1.0, "last_sigma": 0.95}, False),
    "frames of another size": ({"frame": (720, 1280)}, False),
    "back to noise": ({"last_sigma": 1.0}, False),
}


@pytest.mark.parametrize(("changes", "expected"), LATER.values(), ids=list(LATER))
def test_what_goes_on_where_another_stopped(changes, expected):
    assert continues(replace(MORE, **changes), HIGH) is expected


def test_an_inversion_is_not_gone_on_with():
    inversion = replace(HIGH, first_sigma=0.0, last_sigma=1.0)
    assert not continues(replace(HIGH, first_sigma=1.0, last_sigma=0.0), inversion)


def test_what_cannot_be_told_from_weights_is_not_the_same():
    unknown = replace(LOW, expert=None)
    assert not same_expert(HIGH, unknown)
    assert same_expert(unknown, replace(unknown, first_sigma=0.5))


THIRD = replace(MORE, first_sigma=0.875, last_sigma=0.5, steps=3)
HISTORIES = {  # finished samplings, the next, steps before it
    "nothing before": ([], HIGH, 0),
    "a pair": ([HIGH], LOW, 0),
    "the expert in two parts": ([HIGH], MORE, 4),
    "then the other expert": ([HIGH, MORE], LOW, 0),
    "the expert in three parts": ([HIGH, MORE], THIRD, 10),
    "another seed": ([HIGH], replace(HIGH), 0),
    "another seed, second part": ([HIGH, MORE, HIGH], MORE, 4),
    "two ways on from one": ([HIGH, MORE], MORE, 4),
    "the last of several": ([replace(HIGH, steps=9), HIGH], MORE, 4),
    "a second pass": ([HIGH, MORE, LOW], replace(LOW, first_sigma=0.6), 0),
    "low in two parts": ([HIGH, replace(LOW, last_sigma=0.4)], replace(LOW, first_sigma=0.4), 10),
}


@pytest.mark.parametrize(("finished", "later", "expected"), HISTORIES.values(), ids=list(HISTORIES))
def test_steps_before(finished, later, expected):
    assert steps_before(later, finished) == expected


LEFT = [  # share of the warm-up, its least steps, before, steps, left
    (0.2, 0, 0, 20, 4),
    (0.2, 0, 4, 16, 0),
    (0.2, 0, 2, 18, 2),
    (0.2, 0, 2, 2, 0),
    (0.27, 0, 4, 16, 1),
    (0.0, 5, 0, 20, 5),
    (0.0, 5, 3, 2, 2),
    (0.0, 5, 8, 8, 0),
    (0.0, 0, 8, 8, 0),
]


@pytest.mark.parametrize(("ratio", "least", "before", "steps", "left"), LEFT)
def test_what_is_left_of_a_presets_warm_up(ratio, least, before, steps, left):
    preset = GuardDefaults(ratio, warmup_steps=least)
    assert guards_of(Options(), preset, steps, float, before).warmup_steps == left


@given(st.integers(0, 9), st.integers(0, 12), st.integers(1, 12))
def test_warm_up_steps_of_the_options_are_counted_over_all_parts(asked, before, steps):
    """Naive: number the steps of the whole part, the first so many are warm-up."""
    guards = guards_of(Options(warmup_steps=asked), GuardDefaults(), steps, float, before)
    numbers = range(before, before + steps)
    assert min(guards.warmup_steps, steps) == sum(number < asked for number in numbers)


def ran(before, warmup_steps=3):
    """A toy run of 6 steps that reuses whatever it may."""
    config = CacheConfig(
        TOY,
        (Method(FBCache(1.0, downsample=1), GuardDefaults(0.0, 0, None)),),
        Options(forecast="hold", warmup_steps=warmup_steps),
    )
    schedule = Schedule.of([1.0, 0.8, 0.6, 0.4, 0.3, 0.2, 0.0])
    run = Run(config, schedule, lambda p: 1 - p, RunFacts(steps=20.0, before=before))
    sample(run, batched(*[1.0] * 6))
    return run


@pytest.mark.parametrize(
    ("before", "expected"), [(0, "CCCRRR"), (1, "CCRRRR"), (2, "CRRRRR"), (9, "CRRRRR")]
)
def test_a_run_that_goes_on_computes_what_is_left_and_always_its_first(before, expected):
    run = ran(before)
    assert pattern(run) == expected
    reason = "warm-up" if before < 3 else "first evaluation"
    assert story(run)[0].startswith(f"cond compute ({reason})")
    assert any(f"after {before} steps" in note for note in run.trace.notes) is (before > 0)


PLAIN = Identity("14B", "t2v", 5120, 40, variants_of("t2v", "14B", 16, False))
CERTAIN = [
    (PLAIN, None),
    (PLAIN.placed("high"), "high"),
    (PLAIN.named("wan2.2_t2v_low_noise_14B.safetensors"), "low"),
    (PLAIN.overridden("wan2.2_t2v_A14B"), None),
    (PLAIN.overridden("wan2.2_t2v_A14B").placed("low"), "low"),
    (TOY.placed("low"), "low"),
]


@pytest.mark.parametrize(("identity", "expert"), CERTAIN)
def test_an_expert_is_certain_only_if_every_candidate_is_it(identity, expert):
    assert identity.expert == expert


AGAIN = replace(HIGH, frame=(720, 1280))
WHOLE = {  # samplings in order of time, the schedules they make
    "nothing": ([], []),
    "one": ([HIGH], [[0]]),
    "a pair": ([HIGH, replace(LOW, first_sigma=0.95)], [[0, 1]]),
    "three parts, two experts": ([HIGH, MORE, LOW], [[0, 1, 2]]),
    "two samplings apart": ([HIGH, HIGH], [[0], [1]]),
    "frames of another size": ([AGAIN, MORE], [[0], [1]]),
    "one after the other": ([HIGH, MORE, HIGH, MORE], [[0, 1], [2, 3]]),
    "first all firsts": ([HIGH, HIGH, MORE, MORE], [[1, 2], [0, 3]]),
    "the second part again": ([HIGH, MORE, MORE], [[0, 1], [0, 2]]),
    "left alone, then a pair": ([HIGH, HIGH, MORE], [[0], [1, 2]]),
    "an inversion before": ([replace(HIGH, first_sigma=0.0, last_sigma=0.95), MORE], [[0], [1]]),
}


@pytest.mark.parametrize(("samplings", "expected"), WHOLE.values(), ids=list(WHOLE))
def test_which_samplings_are_parts_of_one_schedule(samplings, expected):
    assert whole_schedules(samplings) == expected


@pytest.mark.parametrize(
    ("samplings", "experts"),
    [([], 0), ([HIGH], 1), ([HIGH, MORE], 1), ([HIGH, MORE, LOW], 2), ([LOW, HIGH, LOW], 2)],
)
def test_how_many_experts_took_part(samplings, experts):
    assert count_experts(samplings) == experts
