"""Guards evaluation by evaluation, and several methods on one model."""

import pytest
import torch
from toy import FREE, TOY, batched, make_run, pattern, sample, split

from cache_core import CacheConfig, FBCache, Method, Options, Run
from cache_core.config import GuardDefaults
from cache_core.policy import Verdict

GUARDED = [  # options, pattern of 8 steps without change
    ({}, "CRRRRRRR"),
    ({"warmup_steps": 3}, "CCCRRRRR"),
    ({"last_steps": 2}, "CRRRRRCC"),
    ({"max_consecutive_skips": 2}, "CRRCRRCR"),
    ({"max_consecutive_skips": 0}, "CCCCCCCC"),
    ({"start_percent": 0.5}, "CCCCRRRR"),
    ({"end_percent": 0.5}, "CRRRCCCC"),
    ({"warmup_steps": 2, "last_steps": 1, "max_consecutive_skips": 1}, "CCRCRCRC"),
    ({"warmup_steps": 99}, "CCCCCCCC"),
]


@pytest.mark.parametrize(("options", "expected"), GUARDED)
@pytest.mark.parametrize("script", [batched(*[1.0] * 8), split(*[1.0] * 8)])
def test_guards_by_evaluation(options, expected, script):
    run = make_run(steps=8, **options)
    sample(run, script)
    assert pattern(run) == pattern(run, "uncond") == expected


def test_guards_count_steps_of_this_sampling_not_of_the_whole_schedule():
    run = make_run(steps=4, warmup_steps=1, last_steps=1)
    sample(run, batched(*[1.0] * 8), sigmas=[1.0, 0.9, 0.75, 0.6, 0.5, 0.4, 0.25, 0.1])
    assert pattern(run) == "CCRRRRCC"


class Always:
    """A policy of one feature that votes the same every time, and counts its votes."""

    def __init__(self, name, reuse):
        self.name, self.reuse, self.votes, self.looks_at = name, reuse, 0, "block"

    def describe(self):
        return self.name

    def start(self):
        return FBCache(0.1).start()

    def features(self, before, after):
        return after.clone()

    def distance(self, state, seen):
        return None if state.reference is None else torch.tensor(0.25)

    def judge(self, state, distance):
        self.votes += 1
        return Verdict(self.reuse, distance), state

    def skipped(self, state, seen):
        return state

    def computed(self, state, seen):
        return FBCache(0.1).computed(state, seen)


@pytest.mark.parametrize(
    ("votes", "method"),
    [((True, True), "A"), ((True, False), "A"), ((False, True), "B"), ((False, False), None)],
)
def test_of_several_methods_the_first_that_reuses_wins(votes, method):
    policies = [Always(name, vote) for name, vote in zip("AB", votes, strict=True)]
    run = make_run(*policies)
    sample(run, batched(1.0, 1.0))
    assert {r.method for r in run.trace.records[2:]} == {method}
    assert [policy.votes for policy in policies] == [1, 1]


def test_each_method_keeps_its_own_guards():
    late = Method(Always("A", True), GuardDefaults(0.5, 0, None))
    early = Method(Always("B", True), FREE)
    config = CacheConfig(TOY, (late, early), Options(last_steps=1))
    run = Run(config, make_run(steps=6).schedule, lambda percent: 1 - percent)
    sample(run, batched(*[1.0] * 6))
    used = [r.method for r in run.trace.records if r.branch == "cond"]
    assert used == [None, "B", "B", "A", "A", None]
