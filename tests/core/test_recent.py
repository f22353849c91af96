"""What a run keeps by key stays bounded, and a run whose keys come again loses nothing."""

from itertools import pairwise

import pytest
import torch
from toy import Rows, batched, make_run, pattern, sample, split, story

from cache_core.presence import ANEW
from cache_core.recent import Recent
from cache_core.schedule import Course, Position, Schedule

STEPS = 20


def used(*steps):
    """A container after steps in which these keys were used in turn."""
    recent = Recent()
    for keys in steps:
        recent.step()
        for key in keys:
            recent.use(key, lambda key=key: [key])
    return recent


@pytest.mark.parametrize(
    ("steps", "left", "dropped"),
    [
        (["ab", "ab", "ab"], "ab", 0),
        (["abc", "ab", "ab", "ab", "abc"], "abc", 0),  # a pass in some steps only
        (["ab", "ac", "ab", "ac"], "bac", 0),  # by turns
        (["ab", "cd", "ef"], "cdef", 2),
        (["ab", "cd", "ef", "gh", "ij"], "ghij", 6),
        (["ab", "ac", "ad", "ae"], "dae", 2),
        (["abcd", "e", "f", "g"], "cdefg", 2),
        (["", "", ""], "", 0),
    ],
)
def test_as_many_are_kept_as_two_neighbouring_steps_use(steps, left, dropped):
    recent = used(*steps)
    assert ("".join(recent), recent.dropped) == (left, dropped)


def test_the_naive_rule_holds_for_any_order_of_use():
    """Against a list of all uses, searched anew every time."""
    generator = torch.Generator().manual_seed(0)
    recent, uses, most, alive = Recent(), [[]], 0, set()
    for key in torch.randint(-2, 9, (2000,), generator=generator).tolist():
        if key < 0:
            recent.step()
            uses.append([])
            continue
        assert recent.use(key, object) is recent[key]
        uses[-1].append(key)
        most = max(most, len({*uses[-1], *(uses[-2] if len(uses) > 1 else [])}))
        last = {k: i for i, k in enumerate(k for step in uses for k in step)}
        alive = set(sorted(alive | {key}, key=last.get)[-most:])
        assert set(recent) == alive


def test_an_entry_that_is_dropped_is_made_anew():
    recent = used("a", "b", "c")
    first = recent["c"]
    assert recent.use("c", object) is first
    assert recent.use("a", lambda: "new") == "new"


def test_room_is_made_before_it_is_taken():
    """The old entries are gone when the new one is made."""
    recent, held = used("a", "b", "c"), []
    recent.step()
    recent.use("d", lambda: held.append(list(recent)))
    assert held == [["b", "c"]]


def test_windows_that_move_hold_no_more_than_two_steps_of_them():
    """Two windows a step, each of them new: what the run holds stops growing at once.

    Those of the last step are dropped once it is known that the sampler is at the next one.
    """
    run = make_run(steps=STEPS)
    held = []
    for step in range(STEPS - 1):
        script = [[[Rows("cond", 1.0, window=2 * step + w)] for w in (0, 1)]]
        sample(run, script, sigmas=[run.schedule.sigmas[step]])
        held.append((len(run.groups), len(run.store.histories), run.store.nbytes))
    assert held[2:] == [held[2]] * (STEPS - 3)
    assert held[2] == (4, 4, held[1][2])
    assert pattern(run) == "C" * 2 * (STEPS - 1)
    assert run.trace.notes == [ANEW]  # toy rows do not say what their window is
    assert run.trace.failsafes() == {}


def test_windows_that_stay_are_all_reused_and_none_is_dropped():
    run = make_run(steps=STEPS, max_consecutive_skips=1)
    windows = [[[Rows("cond", 1.0, window=w)] for w in range(30)]]
    sample(run, windows * 6)
    assert pattern(run) == "C" * 30 + ("R" * 30 + "C" * 30) * 2 + "R" * 30
    assert len(run.store.histories) == 30 and run.store.histories.dropped == 0
    assert run.trace.notes == []


def test_a_window_that_comes_back_after_it_was_dropped_is_computed():
    run = make_run(steps=STEPS)
    script = [[[Rows("cond", 1.0, window=w)]] for w in (0, 1, 2, 3, 0)]
    sample(run, script)
    assert story(run) == ["cond compute (first evaluation)"] * 5


def test_a_branch_that_pauses_starts_anew():
    """Its policies and guards have not counted what it missed."""
    run = make_run(steps=STEPS, cfg_mode="separate")
    both, one = split(1.0)[0], split(1.0, names=("cond",))[0]
    sample(run, [both, *[one] * 8, both])
    assert pattern(run, "uncond") == "CC"


def test_two_stages_of_a_step_both_count():
    """A sampler that looks a step ahead and comes back: a key for each of its stages."""
    run = make_run(steps=STEPS)
    sigmas, ahead, here = run.schedule.sigmas, Rows("cond", 1.0, 1), Rows("cond", 1.0, 0)
    points = [sigma for pair in pairwise(sigmas[:6]) for sigma in pair]
    sample(run, [[[here]], [[ahead]]] * 5, sigmas=points)
    assert run.store.histories.dropped == 0
    assert pattern(run) == "CC" + "RR" * 4


def test_a_step_begins_once_however_samplers_look_ahead():
    course = Course(Schedule.of([1.0, 0.8, 0.6, 0.4, 0.2, 0.0]))
    steps = [0, 1, 2, 1, 2, 3, 2, 3, 4]
    begun = [course.advances(Position(i, step, 0.5)) for i, step in enumerate(steps)]
    assert begun == [True, True, True, False, False, True, False, False, True]


def test_the_alarm_remembers_no_more_branches_than_the_store():
    run = make_run(steps=STEPS)
    run.alarm = type(run.alarm)()
    sample(run, [[[Rows("cond", 1.0, window=w)]] for w in range(12)])
    assert len(run.alarm.known) <= 3


def test_a_run_that_is_dropped_and_started_anew_is_bounded_all_the_same():
    run = make_run(steps=STEPS)
    for window in range(12):
        sample(run, [batched(1.0, window=window)[0]], sigmas=[run.schedule.sigmas[window]])
        run.forget()
    assert len(run.groups) == 2
