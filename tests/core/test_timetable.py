"""Quantities that add up over falling noise, and Wan's own schedule."""

from dataclasses import FrozenInstanceError
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_core.timetable import Cumulative, Timetable, native_sigmas

falling = st.lists(st.integers(1, 1000), min_size=3, max_size=20, unique=True).map(
    lambda levels: tuple(level / 1000 for level in sorted(levels, reverse=True))
)


def naive_total(sigmas, increments, sigma):
    """What has been added when the noise has fallen to ``sigma``: walked interval by interval."""
    total = 0.0
    for place, (above, below) in enumerate(pairwise(sigmas)):
        slope = increments[place + 1] / (above - below)
        top = np.inf if place == 0 else above
        bottom = -np.inf if place == len(sigmas) - 2 else below
        if sigma <= bottom:
            total += slope * (above - below)
        elif sigma < top or place == 0:
            total += slope * (above - sigma)
            break
    return total


def drawn(data, sigmas):
    """An increment for every step; the first is a number nobody may look at."""
    size = st.floats(-2.0, 2.0)
    rest = data.draw(st.lists(size, min_size=len(sigmas) - 1, max_size=len(sigmas) - 1))
    return [1e6, *rest]


@settings(max_examples=50)
@given(falling, st.data())
def test_steps_of_another_schedule_add_what_lies_between_them(sigmas, data):
    increments = drawn(data, sigmas)
    run = data.draw(st.lists(st.floats(-0.2, 1.2), min_size=1, max_size=12))
    found = Cumulative.of(sigmas, increments).increments(run)
    totals = [naive_total(sigmas, increments, sigma) for sigma in run]
    expected = [0.0, *(after - before for before, after in pairwise(totals))]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9 * (1 + max(map(abs, totals))))


@settings(max_examples=30)
@given(falling, st.data())
def test_the_calibrated_steps_themselves_are_reproduced(sigmas, data):
    increments = drawn(data, sigmas)
    found = Cumulative.of(sigmas, increments).increments(sigmas)
    assert found == pytest.approx([0.0, *increments[1:]], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("run", "added"),
    [
        ([1.0, 0.5], 10.0),  # as calibrated
        ([1.1, 1.0], 2.0),  # above: as steep as the first interval
        ([0.25, 0.15], 8.0),  # below: as steep as the last
        ([0.5, 0.25], 20.0),
        ([0.75, 0.375], 15.0),  # half of one interval, half of the next
        ([0.5, 1.0], -10.0),  # noise that rises again
        ([0.5, 0.5], 0.0),
    ],
)
def test_increments_by_hand(run, added):
    total = Cumulative.of([1.0, 0.5, 0.25], [99.0, 10.0, 20.0])
    assert total.increments(run) == [0.0, pytest.approx(added)]


@pytest.mark.parametrize(
    ("run", "outside"),
    [
        ([1.0, 0.5, 0.25], 0),
        ([1.19, 0.1], 0),  # less than a step outside: the end of another grid, no extrapolation
        ([1.21], 1),
        ([0.09, 0.05, 0.6], 2),
        ([1.3, 1.2, 0.6, 0.05], 2),
        ([], 0),
    ],
)
def test_steps_a_whole_step_outside_the_calibrated_ones_are_counted(run, outside):
    total = Cumulative.of([1.0, 0.8, 0.5, 0.3], [0.0, 1.0, 1.0, 1.0])
    assert total.outside(run) == outside


def test_branches_without_a_row_go_by_the_first():
    table = Timetable(((0.0, 0.1), (0.0, 0.2)), ("a note",))
    assert [table.at(branch, 1) for branch in range(4)] == [0.1, 0.2, 0.1, 0.1]
    with pytest.raises(FrozenInstanceError):
        table.rows = ()


SCHEDULES = [(50, 5.0), (40, 3.0), (40, 5.0), (40, 12.0), (50, 16.0), (20, 8.0), (8, 5.0), (1, 3.0)]


@pytest.mark.parametrize(("steps", "shift"), SCHEDULES)
def test_native_sigmas_are_whole_shifted_timesteps(steps, shift):
    expected = []
    for step in range(steps):
        time = 0.999 * (1 - step / steps)
        expected.append(int(1000 * shift * time / (1 + (shift - 1) * time)) / 1000)
    assert native_sigmas(steps, shift) == tuple(expected)
    assert all(before > after for before, after in pairwise(expected))


HIGH_NOISE = [  # steps, shift, boundary -> steps at or above the boundary, as published for pairs
    (40, 12, 0.875, 26), (40, 5, 0.9, 15), (20, 5, 0.875, 9), (20, 8, 0.875, 11),
    (20, 12, 0.875, 13), (8, 5, 0.875, 4), (8, 8, 0.875, 5), (8, 12, 0.875, 6),
    (4, 5, 0.875, 2), (4, 8, 0.875, 3), (4, 12, 0.875, 3),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "shift", "boundary", "high"), HIGH_NOISE)
def test_native_sigmas_give_the_known_shares_of_the_experts(steps, shift, boundary, high):
    assert sum(sigma >= boundary for sigma in native_sigmas(steps, shift)) == high
