"""A run that is called from several threads at once, as a host with several devices does."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
import torch
from toy import BATCH, Rows, ToyModel, call_of, forward, make_run

from cache_core import FBCache

STEPS = 20
BRANCHES = ("cond", "uncond", "third")
DRIFT = {"cond": 0.02, "uncond": 0.04, "third": 0.08}
MODES = {"main thread": torch.inference_mode, "worker": torch.no_grad}


class Model(ToyModel):
    """Its output tells the step it was computed at, whichever branch comes first.

    meet: called in the model, behind block 0.
    """

    def __init__(self, meet=lambda: None):
        super().__init__()
        self.meet = meet

    def rest(self, rows):
        self.meet()
        return torch.tensor([[row.feature] for row in rows for _ in range(BATCH)])


INSIDE = threading.Lock()


class Watched(FBCache):
    """Sees whether another thread is in it."""

    def features(self, before, after):
        assert INSIDE.acquire(blocking=False), "two threads at once"
        time.sleep(0.001)
        INSIDE.release()
        return super().features(before, after)


def called(run, name, step, model, mode=torch.no_grad, delay=0.0):
    """One call of the model by a thread of its own."""
    time.sleep(delay)
    with mode():
        return forward(run, [Rows(name, 1 + DRIFT[name] * step)], model)[0].item()


def sampled(run, model, pool=None, seed=0, modes=lambda step: torch.no_grad):
    """Values by step and branch; in threads that start after random delays if there is a pool."""
    random, values = Random(seed), []
    for step, sigma in enumerate(run.schedule.sigmas[:STEPS]):
        run.begin(torch.tensor([sigma]))
        work = [(run, name, step, model, modes(step)) for name in BRANCHES]
        if pool:
            pending = [pool.submit(called, *w, random.uniform(0, 0.002)) for w in work]
            values.append([each.result() for each in pending])
        else:
            values.append([called(*w) for w in work])
        run.end()
    return values


def actions(run):
    """What every branch did, whoever came first."""
    return {b: [r.action for r in run.trace.records if r.branch == b] for b in BRANCHES}


@pytest.fixture
def pool():
    with ThreadPoolExecutor(len(BRANCHES)) as pool:
        yield pool


@pytest.mark.parametrize("seed", range(5))
def test_threads_get_what_calls_in_turn_would(pool, seed):
    policy = Watched(0.1, downsample=1)
    in_turn, at_once = (make_run(policy, cfg_mode="separate") for _ in range(2))
    expected = sampled(in_turn, Model())
    assert sampled(at_once, Model(), pool, seed) == expected
    assert actions(at_once) == actions(in_turn)
    assert at_once.trace.errors == 0 and len(at_once.trace.records) == STEPS * len(BRANCHES)
    assert len({tuple(told) for told in actions(in_turn).values()}) == len(BRANCHES)


def test_the_model_itself_runs_at_once(pool):
    meeting = threading.Barrier(len(BRANCHES))
    run = make_run(FBCache(0.0), cfg_mode="separate")
    sampled(run, Model(lambda: meeting.wait(timeout=5)), pool)
    assert run.trace.errors == 0 and not meeting.broken


def test_block_0_runs_at_once(pool):
    meeting = threading.Barrier(len(BRANCHES))

    class Meets(Model):
        def block_0(self, rows):
            meeting.wait(timeout=5)
            return super().block_0(rows)

    run = make_run(cfg_mode="separate")
    sampled(run, Meets(), pool)
    assert run.trace.errors == 0 and not meeting.broken


def test_seconds_are_those_of_each_call_whichever_ends_first():
    run = make_run(cfg_mode="separate")
    run.begin(torch.tensor([1.0]))
    calls = [call_of(run, [Rows(name)]) for name in ("cond", "uncond")]
    for call in calls:
        call.observe(*ToyModel().block_0([Rows("cond")]))
    for call, seconds in zip(reversed(calls), (1.0, 3.0), strict=True):
        call.record_output(torch.zeros(BATCH, 1))
        call.close(seconds)
    assert {r.branch: r.seconds for r in run.trace.records} == {"cond": 3.0, "uncond": 1.0}


@pytest.mark.parametrize("first", MODES)
def test_values_of_one_mode_serve_in_the_other(pool, first):
    second = next(mode for mode in MODES if mode != first)
    run, same = make_run(cfg_mode="separate"), make_run(cfg_mode="separate")
    turns = [MODES[first], MODES[second]]
    found = sampled(run, Model(), pool, modes=lambda step: turns[step // 3 % 2])
    assert found == sampled(same, Model())
    assert run.trace.errors == 0 and actions(run) == actions(same)
