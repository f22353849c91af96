"""The benchmark's own arithmetic, against naive versions and by hand."""

import math

import pytest
import torch

from bench import prompts, statistics
from bench.curves import curves, psnr_at


def test_the_interval_is_that_of_the_mean():
    generator = torch.Generator().manual_seed(3)
    values = (30 + 4 * torch.randn(400, generator=generator)).tolist()
    low, high = statistics.bootstrap(values)
    half = 1.96 * 4 / math.sqrt(400)
    assert low < statistics.mean(values) < high
    assert high - low == pytest.approx(2 * half, rel=0.1)
    assert statistics.bootstrap(values) == (low, high)


def test_the_interval_of_equal_values_is_a_point():
    assert statistics.bootstrap([7.0, 7.0]) == (7.0, 7.0)


def test_medians():
    assert statistics.median([3.0, 1.0, 2.0]) == 2
    assert statistics.median([4.0, 1.0, 2.0, 3.0]) == 2.5


def naive_front(points):
    def beaten(i):
        (c, q) = points[i]
        return any(
            (d <= c and r > q) or (d < c and r >= q) or ((d, r) == (c, q) and j < i)
            for j, (d, r) in enumerate(points)
        )

    return {i for i in range(len(points)) if not beaten(i)}


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_what_nothing_beats(seed):
    values = torch.randint(0, 6, (12, 2), generator=torch.Generator().manual_seed(seed))
    points = [tuple(map(float, pair)) for pair in values.tolist()]
    found = statistics.front(points)
    assert set(found) == naive_front(points)
    assert [points[i] for i in found] == sorted(points[i] for i in found)


def test_between_two_points_each_prompt_is_interpolated():
    curve = [(0.4, [30.0, 10.0]), (0.6, [40.0, 30.0]), (0.9, [50.0, 50.0])]
    assert statistics.at_cost(curve, 0.5) == pytest.approx([35, 20])
    assert statistics.at_cost(curve[::-1], 0.6) == pytest.approx([40, 30])
    assert statistics.at_cost(curve, 0.39) is None
    assert statistics.at_cost(curve, 0.91) is None
    assert statistics.at_cost(curve[:1], 0.4) is None


def row(method, share, forecast="auto", kind="sweep"):
    return {
        "method": method, "kind": kind, "forecast": forecast, "computed_share": share,
        "psnr": {"prompts": [100 * share, 50 * share]},
    }  # fmt: skip


def test_curves_are_the_sweeps_of_one_forecast():
    rows = [row("A", 0.4), row("A", 0.6), row("A", 0.5, "hold"), row("B", 0.5, "")]
    found = curves([*rows, row("A", 0.3, kind="preset")])
    assert [r["computed_share"] for r in found["A"]] == [0.6, 0.4]
    assert len(curves(rows, "hold")["A"]) == 1 and len(found["B"]) == 1
    assert psnr_at(found["A"], 0.5) == pytest.approx([50, 25])
    assert psnr_at(None, 0.5) is None


def test_prompts_of_one_set_are_in_no_other():
    held_out, tuning = prompts.HELD_OUT, prompts.TUNING
    assert len(held_out) == len(tuning) == 16
    every = [*held_out, *tuning, prompts.CALIBRATION]
    assert len({text for text, _ in every}) == len({seed for _, seed in every}) == 33


def test_prompts_are_not_the_demos_and_say_no_direction():
    from tiny_wan.words import parse

    from devtools.demo import JOBS

    assert not {text for text, _ in prompts.HELD_OUT} & {text for text, _ in JOBS}
    for text, _ in (*prompts.HELD_OUT, *prompts.TUNING):
        assert set(parse(text)) == {"colour", "shape", "speed"}
