"""What a calibration measures, against naive formulas."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_core import measurement as meters
from cache_core.branches import Chunk
from cache_core.fitting import fit_polynomial
from cache_core.measured import not_finite, tensors_of
from cache_core.measurement import Measurement, OutputMeter, ResidualMeter

ROWS, TOKENS, DIM = 2, 7, 5


def drawn(seed, *shape, dtype=torch.float32):
    """Random numbers of an uneven size."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator) * (1 + seed % 3)).to(dtype)


def residuals_of(steps, dtype=torch.float32, rows=ROWS, tokens=TOKENS, first=0):
    """The residuals of a sampling: [rows, tokens, dim] each."""
    return [drawn(first + step, rows, tokens, DIM, dtype=dtype) for step in range(steps)]


def naive_statistics(now, before):
    """Mean and deviation of |r| / |r_before|, mean of 1 - cos, token by token in fp64."""
    ratios, distances = [], []
    pairs = zip(now.double().flatten(0, 1), before.double().flatten(0, 1), strict=True)
    for a, b in pairs:
        a, b = a.numpy(), b.numpy()  # noqa: PLW2901
        ratios.append(np.sqrt((a**2).sum()) / np.sqrt((b**2).sum()))
        distances.append(1 - (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))
    deviation = np.std(ratios, ddof=1) if len(ratios) > 1 else 0.0
    return np.mean(ratios), deviation, np.mean(distances)


def read(meter):
    """What a meter found, step by step."""
    return list(zip(meter.mag_ratio, meter.norm_std, meter.cos_dis, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [1, 3, 7, 13, 4096])
def test_residuals_are_measured_as_published(monkeypatch, dtype, size):
    monkeypatch.setattr(meters, "SLICE", size)
    meter, residuals = ResidualMeter(), residuals_of(5, dtype)
    for residual in residuals:
        meter.add(residual)
    assert read(meter)[0] == (1.0, 0.0, 0.0)
    for found, (before, now) in zip(read(meter)[1:], pairwise(residuals), strict=True):
        assert found == pytest.approx(naive_statistics(now, before), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("rows", "tokens"), [(1, 1), (1, 9), (3, 1), (4, 5)])
def test_tokens_of_all_rows_count_alike(rows, tokens):
    meter, residuals = ResidualMeter(), residuals_of(3, rows=rows, tokens=tokens)
    for residual in residuals:
        meter.add(residual)
    expected = [naive_statistics(now, before) for before, now in pairwise(residuals)]
    for found, known in zip(read(meter)[1:], expected, strict=True):
        assert found == pytest.approx(known, rel=1e-5, abs=1e-6)


def test_a_residual_that_only_grows_has_no_spread():
    meter, residual = ResidualMeter(), residuals_of(1)[0]
    for size in (1.0, 2.0, 1.0):
        meter.add(size * residual)
    assert meter.mag_ratio == pytest.approx([1.0, 2.0, 0.5])
    assert meter.norm_std == pytest.approx([0.0] * 3, abs=1e-3)
    assert meter.cos_dis == pytest.approx([0.0] * 3, abs=1e-6)


def test_hosts_may_write_into_a_residual_after_it_was_measured():
    meter, residuals = ResidualMeter(), residuals_of(2)
    kept = residuals[0].clone()
    meter.add(residuals[0])
    residuals[0].zero_()
    meter.add(residuals[1])
    assert read(meter)[1] == pytest.approx(naive_statistics(residuals[1], kept), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("elements", [1, 10, 1 << 18])
def test_outputs_are_measured_as_published(monkeypatch, dtype, elements):
    monkeypatch.setattr(meters, "ELEMENTS", elements)
    meter, outputs = OutputMeter(), [drawn(step, 2, 3, 4, 5, dtype=dtype) for step in range(4)]
    for output in outputs:
        meter.add(output)
        assert meter.values[-1].data_ptr() != output.data_ptr()
    exact = [output.double().flatten().numpy() for output in outputs]
    changes = [np.abs(b - a).mean() / np.abs(a).mean() for a, b in pairwise(exact)]
    assert meter.changes == pytest.approx([0.0, *changes], rel=1e-5)
    gram = meter.gram()
    assert gram.dtype == torch.float64
    products = [[np.dot(a, b) for b in exact] for a in exact]
    np.testing.assert_allclose(gram.numpy(), products, rtol=1e-12, atol=1e-9)


def test_the_error_of_a_forecast_follows_from_the_gram_matrix():
    meter, outputs = OutputMeter(), [drawn(step, 40).double() for step in range(3)]
    for output in outputs:
        meter.add(output)
    weights = torch.tensor([-1.0, 2.0, -1.0], dtype=torch.float64)
    error = sum(w * output for w, output in zip(weights, outputs, strict=True)).square().sum()
    assert weights @ meter.gram() @ weights == pytest.approx(error.item(), rel=1e-9)


# A whole sampling


def chunk(branch, place=None, key=None):
    """The rows of one branch in a call."""
    start = ROWS * (branch if place is None else place)
    return Chunk(key or ("c", branch), "g", branch, slice(start, start + ROWS), ("s",))


BATCHED = [[chunk(0), chunk(1)]]
SWAPPED = [[chunk(1, 0), chunk(0, 1)]]
SPLIT = [[chunk(0, 0)], [chunk(1, 0)]]
COND = [[chunk(0)]]
UNCOND = [[chunk(1, 0)]]


def measure(script, steps=None, sizes=1.0):
    """A sampling by this script: for each evaluation its calls, each a list of chunks."""
    found = Measurement(len(script) if steps is None else steps)
    for step, calls in enumerate(script):
        found.begin()
        for chunks in calls:
            rows = [drawn(10 * step + c.branch, ROWS, TOKENS, DIM) for c in chunks]
            residual = torch.cat(rows) * sizes
            found.call(chunks, residual, residual[:, 0])
        found.end(drawn(10 * step, ROWS, 3))
    found.finish()
    return found


@pytest.mark.parametrize("calls", [BATCHED, SWAPPED, SPLIT])
def test_branches_are_told_apart_however_they_are_called(calls):
    found = measure([calls] * 4)
    assert found.problem is None
    named = {name: residuals for name, residuals, _ in found.branches()}
    assert list(named) == ["cond", "uncond"]
    for branch, name in enumerate(named):
        rows = [drawn(10 * step + branch, ROWS, TOKENS, DIM) for step in range(4)]
        expected = [naive_statistics(now, before)[0] for before, now in pairwise(rows)]
        assert named[name].mag_ratio == pytest.approx([1.0, *expected], rel=1e-5)


def test_a_model_without_guidance_has_cond_only():
    found = measure([COND] * 3)
    assert found.problem is None
    assert [name for name, _, _ in found.branches()] == ["cond"]
    tensors = tensors_of(found, [1.0, 0.7, 0.3], signal_of)
    assert not any(name.startswith("uncond") for name in tensors)


PROBLEMS = {  # what is wrong -> script, steps announced, words
    "a third condition": ([[[chunk(0), chunk(1), chunk(2)]]] * 3, 3, "more than one positive"),
    "one branch twice in a call": ([[[chunk(0), chunk(0, 1)]]] * 3, 3, "more than one positive"),
    "one branch in two calls": ([[[chunk(0)], [chunk(0)]]] * 3, 3, "more than one positive"),
    "a branch that comes late": ([COND, BATCHED, BATCHED], 3, "branches change"),
    "a branch that goes": ([BATCHED, BATCHED, COND], 3, "branches change"),
    "a branch that pauses": ([BATCHED, COND, BATCHED], 3, "branches change"),
    "another branch": ([COND, UNCOND, COND], 3, "branches change"),
    "another condition": ([COND, COND, [[chunk(0, key="x")]]], 3, "conditions change"),
    "a condition that alternates": ([COND, [[chunk(0, key="x")]], COND], 3, "conditions change"),
    "an interrupted sampling": ([BATCHED] * 2, 3, "2 evaluations for 3 steps"),
    "two evaluations a step": ([BATCHED] * 6, 3, "6 evaluations for 3 steps"),
    "a model that was not called": ([[]] * 3, 3, "never called as expected"),
    "a call that is missing": ([BATCHED, [], BATCHED], 3, "branches change"),
}


@pytest.mark.parametrize(("script", "steps", "words"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_what_cannot_become_a_calibration_says_why(script, steps, words):
    assert words in measure(script, steps).problem


def test_the_first_problem_counts():
    found = Measurement(2)
    found.fail("this")
    found.fail("that")
    assert found.problem == "this"


# The tensors of a file


SIGMAS = [1 - step / 12 for step in range(12)]


def signal_of(sigmas, signal):
    """An embedding that changes a little more at every step."""
    values = [1 + sigma**2 * (2 if signal == "e" else 3) for sigma in sigmas]
    return torch.tensor(values)[:, None].repeat(1, 4)


def test_a_section_holds_everything_by_name():
    tensors = tensors_of(measure([BATCHED] * 12), SIGMAS, signal_of)
    branches = ("mag_ratio", "norm_std", "cos_dis", "output_change", "output_gram")
    fits = ("change", "coefficients", "fit_range", "r_squared")
    assert set(tensors) == {
        *("sigmas", "guided.output_gram"),
        *(f"{branch}.{name}" for branch in ("cond", "uncond") for name in branches),
        *(f"{signal}.{name}" for signal in ("e", "e0") for name in fits),
    }
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float64}
    assert tensors["sigmas"].tolist() == SIGMAS
    assert tensors["cond.output_gram"].shape == (12, 12)
    assert tensors["e.coefficients"].shape == (5,)
    assert not_finite(tensors) is None
    low, high = tensors["e.fit_range"].tolist()
    changes = tensors["e.change"].tolist()
    assert (low, high) == (min(changes[1:]), max(changes[1:]))


def test_the_polynomial_is_fitted_to_the_outputs_of_both_branches():
    found = measure([BATCHED] * 12)
    tensors = tensors_of(found, SIGMAS, signal_of)
    signal = tensors["e0.change"].numpy()[1:]
    outputs = [meter.changes[1:] for _, _, meter in found.branches()]
    expected = np.polyfit(np.tile(signal, 2), np.concatenate(outputs), 4)
    at = np.linspace(*tensors["e0.fit_range"].tolist(), 9)
    ours = np.polyval(tensors["e0.coefficients"].numpy(), at)
    np.testing.assert_allclose(ours, np.polyval(expected, at), rtol=1e-4, atol=1e-6)


def test_a_short_sampling_has_no_polynomial():
    tensors = tensors_of(measure([BATCHED] * 4), SIGMAS[:4], signal_of)
    assert "e.change" in tensors and "e.coefficients" not in tensors


@pytest.mark.parametrize("size", [float("nan"), float("inf"), 0.0])
def test_numbers_that_are_none_are_found(size):
    tensors = tensors_of(measure([COND] * 4, sizes=size), SIGMAS[:4], signal_of)
    assert not_finite(tensors) is not None


# The polynomial


@settings(max_examples=50)
@given(
    coefficients=st.lists(st.floats(-5.0, 5.0), min_size=5, max_size=5),
    points=st.lists(st.integers(0, 1000), min_size=6, max_size=40, unique=True),
)
def test_exact_quartics_come_back(coefficients, points):
    x = np.array(points) / 1000
    y = np.polyval(coefficients, x)
    fit = fit_polynomial(x, y)
    np.testing.assert_allclose(np.polyval(fit.coefficients, x), y, rtol=1e-6, atol=1e-8)
    assert (fit.low, fit.high) == (x.min(), x.max())
    assert fit.r_squared <= 1 + 1e-12
    if y.std() > 1e-3:
        assert fit.r_squared == pytest.approx(1.0, abs=1e-9)


def test_the_share_explained_is_that_of_least_squares():
    x = np.linspace(0, 1, 30)
    y = np.sin(9 * x) + np.random.default_rng(0).standard_normal(30)
    fit = fit_polynomial(x, y)
    left = y - np.polyval(np.polyfit(x, y, 4), x)
    assert fit.r_squared == pytest.approx(1 - left.var() / y.var(), abs=1e-9)
    assert 0 < fit.r_squared < 0.9
    np.testing.assert_allclose(fit.coefficients, np.polyfit(x, y, 4), rtol=1e-6)


@pytest.mark.parametrize("points", [0, 1, 4, 5])
def test_too_few_points_leave_nothing_to_fit(points):
    x = np.linspace(0, 1, points)
    assert fit_polynomial(x, x) is None
    assert fit_polynomial(np.tile(x, 10), np.tile(x, 10)) is None


def test_six_different_points_are_enough_and_equal_ones_are_not():
    x = np.linspace(0.1, 0.2, 6)
    assert fit_polynomial(x, x) is not None
    assert fit_polynomial([0.1] * 50, range(50)) is None


def test_outputs_that_never_change_are_explained():
    fit = fit_polynomial(np.linspace(0, 1, 9), [0.5] * 9)
    assert fit.r_squared == pytest.approx(1.0)
    assert np.polyval(fit.coefficients, 0.3) == pytest.approx(0.5)
