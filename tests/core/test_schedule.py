"""Steps from sigmas, and the guards, against naive definitions."""

from fractions import Fraction
from math import ceil, floor, inf

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from cache_core import Options, Schedule, StepCacheError
from cache_core.config import GuardDefaults
from cache_core.decision import Reason
from cache_core.fbcache_presets import GUARDS
from cache_core.guards import Guards, guards_of
from cache_core.schedule import Position

FALLING = Schedule.of([1.0, 0.8, 0.5, 0.2, 0.0])
NOISE = 2e-5
"""Relative rounding of a sampler that works in fp32 or in another parameter of the noise."""


def naive_step(sigmas, sigma):
    """The last step that starts at ``sigma`` or above, within rounding; else the first."""
    found = 0
    for step in range(len(sigmas) - 1):
        if sigmas[step] >= sigma or np.isclose(sigmas[step], sigma, rtol=1e-4, atol=0):
            found = step
    return found


def flow(shift):
    """The host's percent_to_sigma for a flow model, and its noise level at a timestep in 0..1."""

    def percent_to_sigma(percent):
        left = 1 - percent
        return shift * left / (1 + (shift - 1) * left)

    return percent_to_sigma


STEPS = [  # sigma -> step, on FALLING
    (1.0, 0), (0.8, 1), (0.5, 2), (0.2, 3), (0.0, 3),
    (0.9, 0), (0.79, 1), (0.51, 1), (0.3, 2), (0.1, 3), (1e-9, 3),
    (0.8 * (1 + NOISE), 1), (0.8 * (1 - NOISE), 1), (0.2 * (1 + NOISE), 3), (0.801, 0), (0.799, 1),
    (1.0 * (1 + NOISE), 0), (1.7, 0), (14.6, 0), (-0.1, 3),
]  # fmt: skip


@pytest.mark.parametrize(("sigma", "step"), STEPS)
def test_an_evaluation_belongs_to_the_step_it_falls_in(sigma, step):
    assert FALLING.step_of(sigma) == step


@pytest.mark.parametrize(
    ("sigmas", "sigma", "step"),
    [
        ([1.0, 0.5, 0.5, 0.2, 0.0], 0.5, 2),
        ([1.0, 0.5, 0.5, 0.5], 0.5, 2),
        ([0.5, 0.5], 0.5, 0),
        ([0.5, 0.2, 0.1], 0.5, 0),  # the second half of a split sampling
        ([0.5, 0.2, 0.1], 0.1, 1),  # ... which leaves noise over
        ([0.5, 0.2, 0.1], 0.05, 1),
        ([1.0, 0.8, 0.5], 0.5, 1),  # the first half
        ([0.0, 0.0], 0.0, 0),
        ([1.0, 0.0, 0.0], 0.0, 1),
        ([700.0, 14.6, 0.03, 0.0], 14.6, 1),
    ],
)
def test_repeated_sigmas_and_parts_of_schedules(sigmas, sigma, step):
    assert Schedule.of(sigmas).step_of(sigma) == step


falling = st.lists(st.floats(0.0, 20.0), min_size=2, max_size=40).map(
    lambda values: sorted(values, reverse=True)
)


@given(falling, st.data())
def test_step_of_is_a_linear_scan_of_any_falling_schedule(sigmas, data):
    at_points = st.sampled_from(sigmas)
    sigma = data.draw(st.one_of(at_points, st.floats(0.0, 25.0)))
    margins = [abs(sigma * (1 - 1e-4) - point) for point in sigmas]
    assume(sigma == 0 or min(margins) > 1e-9 * sigma)  # not on the edge of the tolerance itself
    assert Schedule.of(sigmas).step_of(sigma) == naive_step(sigmas, sigma)


@given(st.integers(1, 100), st.floats(1.0, 12.0), st.floats(0.01, 1.0))
def test_every_point_of_a_flow_schedule_starts_its_step_after_rounding(steps, shift, denoise):
    fractions = torch.linspace(denoise, 0, steps + 1, dtype=torch.float64)
    sigmas = shift * fractions / (1 + (shift - 1) * fractions)
    schedule = Schedule.of(sigmas.tolist())
    seen = sigmas.float()[:-1] * (1 + NOISE * torch.tensor([-1.0, 1.0, 0.0]).repeat(steps)[:steps])
    assert [schedule.step_of(sigma) for sigma in seen.tolist()] == list(range(steps))


def test_a_schedule_takes_any_numbers_and_counts_steps():
    assert Schedule.of(torch.tensor([1.0, 0.5, 0.0])) == Schedule.of(np.array([1.0, 0.5, 0.0]))
    assert Schedule.of((1, 0)).sigmas == (1.0, 0.0)
    assert FALLING.steps == 4


@pytest.mark.parametrize("sigmas", [[], [1.0]])
def test_a_schedule_without_a_step_is_refused_with_the_remedy(sigmas):
    with pytest.raises(StepCacheError, match=r"two sigmas at least, got \[.*\]: check the steps"):
        Schedule.of(sigmas)


OPEN = {"start_sigma": inf, "end_sigma": 0.0, "warmup_steps": 0, "last_steps": 0}
FORBIDS = [  # guards, sigma, step of 10, skips in row -> reason
    ({}, 0.5, 0, 0, None),
    ({}, 0.5, 9, 99, None),
    ({"warmup_steps": 2}, 0.5, 1, 0, Reason.WARM_UP),
    ({"warmup_steps": 2}, 0.5, 2, 0, None),
    ({"last_steps": 2}, 0.5, 7, 0, None),
    ({"last_steps": 2}, 0.5, 8, 0, Reason.LAST_STEPS),
    ({"last_steps": 99}, 0.5, 0, 0, Reason.LAST_STEPS),
    ({"max_consecutive_skips": 0}, 0.5, 5, 0, Reason.MAX_SKIPS),
    ({"max_consecutive_skips": 2}, 0.5, 5, 1, None),
    ({"max_consecutive_skips": 2}, 0.5, 5, 2, Reason.MAX_SKIPS),
    ({"start_sigma": 0.6}, 0.7, 5, 0, Reason.OUTSIDE_WINDOW),
    ({"start_sigma": 0.6}, 0.6, 5, 0, None),
    ({"start_sigma": 0.6}, 0.6 * (1 + NOISE), 5, 0, None),
    ({"start_sigma": 0.6}, 0.5, 5, 0, None),
    ({"end_sigma": 0.4}, 0.5, 5, 0, None),
    ({"end_sigma": 0.4}, 0.4, 5, 0, Reason.OUTSIDE_WINDOW),
    ({"end_sigma": 0.4}, 0.4 * (1 + NOISE), 5, 0, Reason.OUTSIDE_WINDOW),
    ({"end_sigma": 0.4}, 0.3, 5, 0, Reason.OUTSIDE_WINDOW),
    ({}, float("nan"), 5, 0, Reason.OUTSIDE_WINDOW),
]


@pytest.mark.parametrize(("guards", "sigma", "step", "skips", "reason"), FORBIDS)
def test_guards_forbid_with_their_reason(guards, sigma, step, skips, reason):
    in_force = Guards(**{**OPEN, "max_consecutive_skips": None, **guards})
    assert in_force.forbids(Position(step, step, sigma), steps=10, skips_in_row=skips) == reason


@pytest.mark.parametrize("ratio", ["0", "0.05", "0.1", "0.15", "0.2", "0.25", "1"])
def test_the_warm_up_ratio_counts_whole_model_calls(ratio):
    for steps in range(1, 101):
        guards = guards_of(Options(), GuardDefaults(float(ratio)), steps, flow(1.0))
        calls = [call for call in range(2 * steps) if call < int(2 * steps * float(ratio))]
        assert guards.warmup_steps == len({call // 2 for call in calls})


def test_a_preset_can_ask_for_a_number_of_warm_up_steps():
    for ratio, steps, expected in ((0.0, 20, 5), (0.2, 20, 5), (0.5, 20, 10), (0.0, 3, 5)):
        preset = GuardDefaults(ratio, warmup_steps=5)
        assert guards_of(Options(), preset, steps, flow(1.0)).warmup_steps == expected
        assert guards_of(Options(warmup_steps=1), preset, steps, flow(1.0)).warmup_steps == 1


@pytest.mark.parametrize("preset", [*GUARDS.values(), GuardDefaults()])
def test_options_left_open_take_the_presets_guards(preset):
    guards = guards_of(Options(), preset, 20, flow(5.0))
    calls = floor(Fraction(str(preset.warmup_ratio)) * 40)  # of two branches in 20 steps
    assert guards.warmup_steps == ceil(Fraction(calls, 2))
    assert guards.last_steps == preset.last_steps
    assert guards.max_consecutive_skips == preset.max_consecutive_skips
    assert (guards.start_sigma, guards.end_sigma) == (inf, 0.0)


@pytest.mark.parametrize("name", ["warmup_steps", "last_steps", "max_consecutive_skips"])
@pytest.mark.parametrize("value", [0, 1, 7])
def test_options_that_are_set_win_over_the_preset(name, value):
    preset = GuardDefaults(warmup_ratio=0.15, last_steps=3, max_consecutive_skips=None)
    guards, untouched = (
        guards_of(options, preset, 20, flow(5.0))
        for options in (Options(**{name: value}), Options())
    )
    assert getattr(guards, name) == value
    others = {"warmup_steps", "last_steps", "max_consecutive_skips"} - {name}
    assert all(getattr(guards, other) == getattr(untouched, other) for other in others)


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0, 8.0, 12.0])
@pytest.mark.parametrize("steps", [10, 20, 25])
def test_a_window_in_percent_holds_the_steps_it_names(shift, steps):
    """Step k of an even schedule begins at k / steps of it: reuse from there, or until there."""
    levels = np.arange(1, 1001, dtype=np.float32) / np.float32(1000)
    table = np.float32(shift) * levels / (1 + np.float32(shift - 1) * levels)
    sigmas = [float(table[-1 - step * 1000 // steps]) for step in range(steps)]
    for first in range(steps):
        for end in range(first + 1, steps + 1):
            options = Options(start_percent=first / steps, end_percent=end / steps)
            guards = guards_of(options, GuardDefaults(0, 0, None), steps, flow(shift))
            free = [
                step
                for step, sigma in enumerate(sigmas)
                if guards.forbids(Position(step, step, sigma), steps, 0) is None
            ]
            assert free == list(range(first, end))


def test_a_window_means_the_same_in_both_halves_of_a_split_sampling():
    sigmas = [flow(8.0)(step / 20) for step in range(21)]
    options = Options(start_percent=0.25, end_percent=0.75)
    preset = GuardDefaults(0.0, 0, None)
    free = []
    for part in (sigmas[:11], sigmas[10:]):
        schedule = Schedule.of(part)
        guards = guards_of(options, preset, schedule.steps, flow(8.0))
        for index, sigma in enumerate(part[:-1]):
            position = Position(index, schedule.step_of(sigma), sigma)
            free.append(guards.forbids(position, schedule.steps, 0) is None)
    assert free == [5 <= step < 15 for step in range(20)]


def test_the_guards_in_force_are_told_in_words():
    words = Guards(0.9, 0.25, 3, 1, 2).describe()
    for fact in ("first 3", "last 1", "at most 2", "sigma 0.900 to 0.250"):
        assert fact in words
    everything_open = Guards(inf, 0.0, 0, 0, None).describe()
    assert "at most" not in everything_open and "window" not in everything_open


@pytest.mark.parametrize(
    ("sigma", "step"), [(0.0, 0), (0.1, 0), (0.2, 1), (0.49999, 2), (0.5, 2), (0.9, 3), (1.0, 3)]
)
def test_a_rising_schedule_is_read_in_its_own_direction(sigma, step):
    assert Schedule.of([0, 0.2, 0.5, 0.8, 1]).step_of(sigma) == step
