"""A measured curve is followed along the time embedding, which changes faster than the steps do."""

import numpy as np
import pytest
import torch

from cache_core.embedded import interpolate
from cache_core.magcache import Curve, MagCache
from cache_core.teacache import sinusoid
from cache_core.timetable import Outlook, native_sigmas

CALIBRATED = native_sigmas(50, 5.0)


def embed(sigmas, signal):
    """Sinusoids of the timestep with periods from 6 timesteps on; a calibrated step is 4 to 90."""
    assert signal == "e0"
    return sinusoid(torch.tensor(sigmas, dtype=torch.float64) * 1000, 8)


def never(sigmas, signal):
    raise AssertionError("no embedding is needed")


def magnitude(sigmas):
    """The logarithm of a residual's norm, as the features of the embedding make it."""
    return (0.02 * embed(sigmas, "e0").sum(1) + torch.tensor(sigmas)).double().numpy()


def curve(measured=True):
    ratios = np.exp(np.diff(magnitude(CALIBRATED), prepend=0))
    return Curve(CALIBRATED, (tuple(ratios.tolist()),), measured)


def ratios_over(sigmas, by, along=embed):
    (row,) = MagCache(0.1, 2, by).timetable(Outlook(tuple(sigmas), along)).rows
    return np.array(row[1:])


@pytest.mark.parametrize("steps", [20, 30, 41])
def test_between_calibrated_sigmas_it_is_far_closer_than_a_line(steps):
    run = native_sigmas(steps, 5.0)
    truth = np.exp(np.diff(magnitude(run)))
    off = np.abs(ratios_over(run, curve()) - truth)
    by_line = np.abs(ratios_over(run, curve(measured=False)) - truth)
    assert off.mean() < 0.1 * by_line.mean()


def test_calibrated_sigmas_need_no_embedding():
    found = ratios_over(CALIBRATED, curve(), never)
    assert found == pytest.approx(np.exp(np.diff(magnitude(CALIBRATED))), rel=1e-9)


def test_sigmas_outside_the_calibrated_ones_need_no_embedding():
    run = (1.2, 1.1, CALIBRATED[0], CALIBRATED[-1], 0.01)
    assert ratios_over(run, curve(), never) == pytest.approx(ratios_over(run, curve(False)))


def test_a_ratio_between_calibrated_sigmas_does_not_depend_on_a_step_in_between():
    run = [CALIBRATED[3], 0.5 * (CALIBRATED[4] + CALIBRATED[5]), CALIBRATED[9]]
    direct = ratios_over([run[0], run[-1]], curve(), never)
    assert ratios_over(run, curve()).prod() == pytest.approx(direct.prod(), rel=1e-6)


@pytest.mark.parametrize("features", [1, 7])
def test_known_values_are_met_exactly_and_an_embedding_that_never_changes_does_no_harm(features):
    sigmas, values = np.linspace(1, 0, 9), np.random.default_rng(5).normal(size=9)
    again = np.concatenate([sigmas, sigmas])
    found = interpolate(again, np.ones((18, features)), values, 9)
    assert found == pytest.approx(values, abs=1e-4)
