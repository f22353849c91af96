"""What a reused value is: weights against naive polynomials and series, and their sums."""

from dataclasses import FrozenInstanceError
from math import fsum, inf, nan

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from naive_forecast import NaiveTaylorSeer, abscissa, hicache_term, neville

import cache_core.forms
from cache_core import StepCacheError
from cache_core.forecast import Forecast, combine
from cache_core.schedule import Position
from cache_core.weights import newest_distinct

AXES = ("step", "sigma", "logsnr")
FORMS = ("newton", "series", "hermite")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
CPU = torch.device("cpu")


@st.composite
def grids(draw, least=2, most=6):
    """Computed positions at random steps and falling sigmas, and one to forecast after them."""
    gaps = draw(st.lists(st.integers(1, 5), min_size=least, max_size=most))
    falls = draw(st.lists(st.integers(1, 40), min_size=least, max_size=most + 1))
    count = min(len(gaps), len(falls))
    steps = np.cumsum(gaps[:count])
    sigmas = 0.97 - 0.94 * np.cumsum(falls[:count]) / (np.sum(falls[:count]) + 20)
    made = [Position(int(s), int(s), float(x)) for s, x in zip(steps, sigmas, strict=True)]
    return made[:-1], made[-1]


def weighted(forecast, positions, values, at):
    """The forecast of numbers."""
    weights = forecast.weights(positions, at)
    assert len(weights) == len(positions)
    return fsum(w * v for w, v in zip(weights, values, strict=True))


def size(forecast, positions, at):
    """How much rounding a forecast may bring: the sum of its weights' magnitudes."""
    return 1 + sum(map(abs, forecast.weights(positions, at)))


# Polynomials


@given(
    grid=grids(),
    order=st.integers(0, 3),
    axis=st.sampled_from(AXES),
    coefficients=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
)
def test_newton_reproduces_polynomials_up_to_its_order(grid, order, axis, coefficients):
    positions, at = grid
    degree = min(order, len(positions) - 1)

    def value(position):
        x = abscissa(axis, position.step, position.sigma) / (10 if axis == "step" else 1)
        return sum(c * x**k for k, c in enumerate(coefficients[: degree + 1]))

    forecast = Forecast(order, axis)
    found = weighted(forecast, positions, [value(p) for p in positions], at)
    reach = max(abs(value(p)) for p in [*positions, at])
    assert found == pytest.approx(value(at), abs=1e-9 * size(forecast, positions, at) * (1 + reach))


@given(
    grid=grids(),
    order=st.integers(0, 3),
    axis=st.sampled_from(AXES),
    values=st.lists(st.floats(-9, 9), min_size=6, max_size=6),
)
def test_newton_is_the_polynomial_through_the_newest_values(grid, order, axis, values):
    positions, at = grid
    values = values[: len(positions)]
    points = [abscissa(axis, p.step, p.sigma) for p in positions]
    target = abscissa(axis, at.step, at.sigma)
    naive = neville(points[-order - 1 :], values[-order - 1 :], target)
    forecast = Forecast(order, axis)
    limit = 1e-8 * size(forecast, positions, at)
    assert weighted(forecast, positions, values, at) == pytest.approx(naive, abs=limit)


@given(grid=grids(), order=st.integers(0, 3), axis=st.sampled_from(AXES))
def test_at_a_computed_position_the_polynomial_is_its_value(grid, order, axis):
    positions, _ = grid
    for place in range(max(len(positions) - order - 1, 0), len(positions)):
        weights = Forecast(order, axis).weights(positions, positions[place])
        assert weights == pytest.approx([float(k == place) for k in range(len(positions))])


# Published series


@given(
    grid=grids(),
    order=st.integers(0, 3),
    axis=st.sampled_from(AXES),
    form=st.sampled_from(("series", "hermite")),
    values=st.lists(st.floats(-9, 9), min_size=6, max_size=6),
)
def test_series_are_the_published_recursions(grid, order, axis, form, values):
    positions, at = grid
    values = values[: len(positions)]
    naive = NaiveTaylorSeer(order)
    for position, value in zip(positions, values, strict=True):
        naive.full(abscissa(axis, position.step, position.sigma), value)
    term = (hicache_term,) if form == "hermite" else ()
    expected = naive.cached(abscissa(axis, at.step, at.sigma), *term)
    forecast = Forecast(order, axis, form=form)
    limit = 1e-8 * size(forecast, positions, at)
    assert weighted(forecast, positions, values, at) == pytest.approx(expected, abs=limit)


def test_series_worked_by_hand():
    positions = [Position(s, s, 1 - s / 20) for s in (2, 3, 7)]
    at = Position(9, 9, 0.5)
    # F 1 4 2: D1 = 3 at step 3, (2 - 4) / 4 = -0.5 at step 7, D2 = (-0.5 - 3) / 4 = -0.875
    second = weighted(Forecast(2, "step", form="series"), positions, [1, 4, 2], at)
    assert second == pytest.approx(2 - 0.5 * 2 - 0.875 * 4 / 2)
    assert weighted(Forecast(1, "step", form="series"), positions, [1, 4, 2], at) == 1.0
    assert weighted(Forecast(1, "step", form="hermite"), positions, [1, 4, 2], at) == 1.5
    # Ht_2(2) = (4 * 1 - 2) / 4
    damped = weighted(Forecast(2, "step", form="hermite"), positions, [1, 4, 2], at)
    assert damped == pytest.approx(2 - 0.5 * 2 * 0.5 - 0.875 * 0.5 / 2)


@given(grid=grids(), axis=st.sampled_from(AXES))
def test_of_the_first_order_all_forms_are_lines_and_hermite_has_half_the_slope(grid, axis):
    positions, at = grid
    line, series, half = (Forecast(1, axis, form=form).weights(positions, at) for form in FORMS)
    assert series == pytest.approx(line, rel=1e-9, abs=1e-12)
    assert half == pytest.approx(Forecast(1, axis, slope=0.5).weights(positions, at), rel=1e-9)


@given(
    grid=grids(),
    order=st.integers(0, 3),
    axis=st.sampled_from(AXES),
    form=st.sampled_from(FORMS),
    slope=st.floats(0, 1),
    horizon=st.none() | st.integers(1, 4),
)
def test_a_constant_is_forecast_as_itself(grid, order, axis, form, slope, horizon):
    positions, at = grid
    forecast = Forecast(order, axis, slope, form, horizon)
    limit = 1e-9 * size(forecast, positions, at)
    assert fsum(forecast.weights(positions, at)) == pytest.approx(1, abs=limit)


# Little history, coinciding points, far away


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("known", [1, 2, 3, 4])
def test_the_order_falls_back_while_values_are_few(known, order, axis, form):
    positions = [Position(i, i, s) for i, s in enumerate((0.9, 0.8, 0.65, 0.45))][:known]
    at = Position(6, 6, 0.3)
    lower = Forecast(min(order, known - 1), axis, form=form)
    assert Forecast(order, axis, form=form).weights(positions, at) == lower.weights(positions, at)
    if known == 1:
        assert lower.weights(positions, at) == [1.0]


TWICE = [  # sigmas, order, places that are used
    ((0.9, 0.9), 1, [1]),
    ((0.9, 0.9), 3, [1]),
    ((0.9, 0.8, 0.8), 1, [0, 2]),
    ((0.9, 0.9, 0.8), 1, [1, 2]),
    ((0.9, 0.9, 0.8), 3, [1, 2]),
    ((0.9, 0.8, 0.9), 1, [1, 2]),
    ((0.9, 0.8, 0.8, 0.8), 0, [3]),
    ((0.999, 1.0), 1, [1]),  # beyond the end of log-SNR
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("sigmas", "order", "used"), TWICE)
def test_of_values_at_the_same_place_the_newest_counts(sigmas, order, used, form):
    positions = [Position(i, i, sigma) for i, sigma in enumerate(sigmas)]
    at = Position(5, 5, 0.5)
    weights = Forecast(order, "logsnr", form=form).weights(positions, at)
    assert [place for place, weight in enumerate(weights) if weight] == used
    alone = Forecast(order, "logsnr", form=form).weights([positions[k] for k in used], at)
    assert [weights[k] for k in used] == alone
    assert all(np.isfinite(weights))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.integers(1, 4))
def test_newest_distinct_against_a_naive_walk(points, most):
    last = sorted({len(points) - 1 - points[::-1].index(value) for value in set(points)})
    assert newest_distinct(points, most) == last[-most:]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("sigma", [0.0, 1.0, 1.5])
def test_weights_are_finite_at_the_ends_of_the_schedule(axis, sigma):
    positions = [Position(0, 0, 1.0), Position(1, 1, 0.9), Position(2, 2, 0.7)]
    for order in range(4):
        assert np.isfinite(Forecast(order, axis).weights(positions, Position(3, 3, sigma))).all()


@given(grid=grids(), slope=st.floats(0, 1), horizon=st.none() | st.integers(1, 9))
def test_slope_and_horizon_blend_with_the_newest_value(grid, slope, horizon):
    positions, at = grid
    elapsed = at.step - positions[-1].step
    share = slope if horizon is None or elapsed <= horizon else slope * horizon / elapsed
    whole = Forecast(2, "step").weights(positions, at)
    expected = [share * w for w in whole]
    expected[-1] += 1 - share
    found = Forecast(2, "step", slope, horizon=horizon).weights(positions, at)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_beyond_the_horizon_a_line_goes_no_further_in_even_steps():
    positions = [Position(0, 0, 1.0), Position(1, 1, 0.95)]
    values = [0.0, 1.0]
    forecast = Forecast(1, "step", horizon=3)
    told = [weighted(forecast, positions, values, Position(s, s, 0.5)) for s in range(1, 9)]
    assert told == pytest.approx([1, 2, 3, 4, 4, 4, 4, 4])


# Numbers of a forecast


@pytest.mark.parametrize("order", range(4))
def test_as_many_values_are_kept_as_the_order_needs(order):
    assert Forecast(order).depth == order + 1
    with pytest.raises(FrozenInstanceError):
        Forecast(order).order = 1


REFUSED = [  # numbers, the input and value named, the remedy
    ({"order": -1}, "`max_order` is -1", "0 (hold) to 3"),
    ({"order": 4}, "`max_order` is 4", "0 (hold) to 3"),
    ({"slope": -0.1}, "`slope` is -0.1", "0 (hold) to 1 (the whole polynomial)"),
    ({"slope": nan}, "`slope` is nan", "0 (hold) to 1 (the whole polynomial)"),
    ({"slope": 1.1}, "`slope` is 1.1", "0 (hold) to 1 (the whole polynomial)"),
]


@pytest.mark.parametrize(("numbers", "named", "remedy"), REFUSED)
def test_impossible_numbers_are_refused_with_the_remedy(numbers, named, remedy):
    with pytest.raises(StepCacheError) as refusal:
        Forecast(**numbers)
    assert str(refusal.value) == f"{named}, but must be {remedy}."


TOLD = [
    (Forecast(), "hold"),
    (Forecast(corrects=True), "hold, corrected"),
    (Forecast(2, slope=0.0), "hold"),
    (Forecast(0, anchor="denoised"), "hold of the denoised latent"),
    (Forecast(0, anchor="input"), "hold of the output relative to the input"),
    (Forecast(1), "order 1 in logsnr"),
    (Forecast(2, "step", form="series"), "order 2 in step (series)"),
    (Forecast(1, slope=0.6, corrects=True), "order 1 in logsnr, slope 0.6, corrected"),
]


@pytest.mark.parametrize(("forecast", "words"), TOLD)
def test_a_forecast_is_told_in_one_phrase(forecast, words):
    assert forecast.describe() == words


# Sums


def tensors(count, dtype=torch.float32, shape=(2, 3, 5)):
    """Random values."""
    generator = torch.Generator().manual_seed(count)
    return list(torch.randn(count, *shape, generator=generator).to(dtype).unbind())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("older", [0, 2])
def test_hold_is_the_newest_value_bit_by_bit(dtype, older):
    bits = torch.arange(-(2**15), 2**15).to(torch.int16)
    newest = bits.view(torch.float16 if dtype == torch.float16 else torch.bfloat16).to(dtype)
    newest = newest[~newest.isnan()]
    values = [torch.full_like(newest, nan)] * older + [newest]
    positions = [Position(i, i, 0.9 - i / 10) for i in range(older + 1)]
    weights = Forecast(0).weights(positions, Position(7, 7, 0.1))
    held = combine(values, weights, dtype, CPU)
    size = torch.int32 if dtype == torch.float32 else torch.int16
    assert torch.equal(held.view(size), newest.view(size))


@pytest.mark.parametrize("elapsed", range(1, 30))
def test_hold_is_bit_equal_beyond_any_horizon(elapsed):
    (value,) = tensors(1)
    forecast = Forecast(1, slope=0.6, horizon=3)
    weights = forecast.weights([Position(0, 0, 0.9)], Position(elapsed, elapsed, 0.5))
    assert torch.equal(combine([value], weights, value.dtype, CPU), value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("limit", [1, 7, 29, 30, 31, 1 << 22])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_sums_are_those_of_fp64_whatever_the_slices(dtype, limit, count, monkeypatch):
    monkeypatch.setattr(cache_core.forms, "SLICE", limit)
    values, weights = tensors(count, dtype), [3.5, -7.25, 4.125, 0.3][-count:]
    naive = sum(w * v.double() for w, v in zip(weights, values, strict=True))
    found = combine(values, weights, dtype, CPU)
    assert found.shape == values[0].shape and found.dtype == dtype
    exact = (naive.abs() + 20) * max(torch.finfo(dtype).eps, 1e-7)
    assert ((found.double() - naive).abs() <= exact).all()


@pytest.mark.parametrize("into", [*DTYPES, torch.float64])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sum_has_the_type_asked_for(dtype, into):
    values = tensors(2, dtype)
    found = combine(values, [2.0, -1.0], into, CPU)
    naive = (2 * values[0].float() - values[1].float()).to(into)
    assert found.dtype == into and found.device == CPU
    torch.testing.assert_close(found, naive)


def test_half_precision_is_added_up_in_fp32():
    big, small = (torch.full((4,), n, dtype=torch.bfloat16) for n in (256.0, 1.0))
    found = combine([big, small, big], [1.0, 1.0, -1.0], torch.bfloat16, CPU)
    assert found.unique().tolist() == [1.0]


@pytest.mark.parametrize("weights", [[0.0, 1.0], [0.5, 0.5], [0.0, 0.0], [1.0, 0.0]])
def test_a_sum_is_new_and_its_terms_are_as_they_were(weights):
    values = tensors(2)
    before = [value.clone() for value in values]
    found = combine(values, weights, torch.float32, CPU)
    assert found.data_ptr() not in {value.data_ptr() for value in values}
    found.fill_(9.0)
    assert all(map(torch.equal, values, before))


def test_what_has_no_weight_is_not_looked_at():
    bad = torch.tensor([inf, nan, -inf])
    found = combine([bad, torch.ones(3)], [0.0, 2.0], torch.float32, CPU)
    assert found.tolist() == [2.0] * 3
    assert combine([torch.ones(3)], [0.0], torch.float32, CPU).tolist() == [0.0] * 3


def test_values_may_lie_anyhow_in_memory():
    value = torch.arange(24.0).reshape(2, 3, 4)
    turned = value.transpose(0, 2)
    assert torch.equal(combine([turned, turned], [1.0, 1.0], torch.float32, CPU), 2 * turned)
