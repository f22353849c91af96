"""The benchmark's own arithmetic, against naive versions and by hand."""

import math

import pytest
import torch

from bench import metrics, prompts, statistics
from bench.curves import curves, psnr_at

CLIP = torch.rand(2, 3, 16, 18, generator=torch.Generator().manual_seed(0))


def noisy(size):
    noise = torch.randn(CLIP.shape, generator=torch.Generator().manual_seed(1))
    return (CLIP + size * noise).clamp(0, 1)


def naive_ssim(a, b):
    """Wang et al. 2004, window by window."""
    places = torch.arange(11, dtype=torch.float64) - 5
    line = torch.exp(-places.square() / (2 * 1.5**2))
    window = torch.outer(line, line)
    window = window / window.sum()
    values = []
    for x, y in zip(a.double().flatten(0, 1), b.double().flatten(0, 1), strict=True):
        for top in range(x.shape[0] - 10):
            for left in range(x.shape[1] - 10):
                p, q = (v[top : top + 11, left : left + 11] for v in (x, y))
                values.append(naive_window(p, q, window))
    return sum(values) / len(values)


def naive_window(p, q, window):
    mp, mq = (window * p).sum(), (window * q).sum()
    vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
    both = (window * (p - mp) * (q - mq)).sum()
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mp * mq + c1) * (2 * both + c2)
    return (top / ((mp**2 + mq**2 + c1) * (vp + vq + c2))).item()


@pytest.mark.parametrize("size", [0.01, 0.1, 0.5])
def test_ssim_is_that_of_the_paper(size):
    assert metrics.ssim(CLIP, noisy(size)) == pytest.approx(naive_ssim(CLIP, noisy(size)), abs=1e-9)


def test_the_same_clip_is_as_alike_as_can_be():
    assert metrics.ssim(CLIP, CLIP) == pytest.approx(1)
    assert metrics.psnr(CLIP, CLIP) == metrics.MOST_DECIBELS


def test_psnr_of_a_known_error():
    zeros = torch.zeros(1, 3, 4, 4)
    assert metrics.psnr(zeros, zeros + 0.1) == pytest.approx(20, abs=1e-5)
    assert metrics.psnr(zeros, zeros + 1) == pytest.approx(0)


def test_less_noise_is_better():
    for measure in (metrics.psnr, metrics.ssim):
        assert measure(CLIP, noisy(0.02)) > measure(CLIP, noisy(0.1)) > measure(CLIP, noisy(0.4))


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
