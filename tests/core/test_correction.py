"""Reused steps that are made good later, against a simulation that rewrites the whole path."""

from math import log

import numpy as np
import pytest
import torch
from flow import EULER, GUIDANCE, Flow, Planned, flow_run, random_latent
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_forecast import NaiveEuler

from cache_core.call import Call
from cache_core.forecast import Forecast, Owed, correction_weights
from cache_core.schedule import Position

CLOSE = {"rtol": 0, "atol": 2e-4}
"""Values are added up in fp32, and corrections may be several times as large as they are."""


def even(steps):
    return torch.linspace(0.98, 0.0, steps + 1).tolist()


def turning(x, sigma, branch="cond"):
    """A linear velocity field that turns with sigma."""
    push = {"cond": 1.0, "uncond": -0.5}[branch]
    return -0.6 * x + push * np.sin(3 * sigma) + 0.3 * sigma * x.flip(-1)


def in_logsnr(*coefficients):
    """A velocity that is a polynomial in log-SNR, wherever the latent is."""

    def velocity(x, sigma, branch="cond"):
        rho = log((1 - sigma) / sigma)
        shape = random_latent(3, x.shape, x.dtype)
        return sum(c * rho**k * (k + shape) for k, c in enumerate(coefficients))

    return velocity


def corrected_run(plan, sigmas=None, order=1, correction="on", **more):
    own = Forecast(order)
    sigmas = sigmas or even(len(plan))
    told = {"forecast": "taylor", "correction": correction, **more}
    return flow_run(Planned(plan), sigmas=sigmas, own=own, **told)


def naive_path(plan, velocity, order, corrects, sigmas=None):
    naive = NaiveEuler(sigmas or even(len(plan)), velocity, order, corrects)
    return naive.sample(random_latent(), plan)


PLANS = st.text("CR", min_size=1, max_size=11).map(lambda rest: "C" + rest)


@settings(max_examples=40)
@given(plan=PLANS, order=st.integers(0, 3), corrects=st.booleans(), uneven=st.booleans())
def test_the_path_is_the_rewritten_one(plan, order, corrects, uneven):
    sigmas = even(len(plan))
    if uneven:
        sigmas = [s**1.5 if i % 2 else s for i, s in enumerate(sigmas)]
    run = corrected_run(plan, sigmas, order, "on" if corrects else "off")
    path = Flow(run, turning).sample(random_latent())
    naive = naive_path(plan, turning, order, corrects, sigmas)
    scale = max(step.abs().max().item() for step in naive)
    for found, expected in zip(path, naive, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * (1 + scale) * 20)
    assert run.trace.errors == 0


EXACT = [  # plan, order of the forecast, degree of the velocity in log-SNR
    ("CCRCRRCRRRC", 0, 1),
    ("CRRRRRRRRRC", 0, 1),
    ("CRCRCRCRCRC", 1, 1),
    ("CCRRRRRRRRC", 1, 2),
    ("CCRCRRCRRRC", 1, 2),
    ("CCRCRRCRRRC", 3, 2),
    ("CRC", 0, 1),
]


@pytest.mark.parametrize("forecast", ["taylor", "auto"])
@pytest.mark.parametrize(("plan", "order", "degree"), EXACT)
def test_of_such_velocities_the_corrected_end_is_that_of_no_cache(plan, order, degree, forecast):
    velocity = in_logsnr(*[1.0, -0.8, 0.45][: degree + 1])
    correction = "auto" if forecast == "auto" else "on"
    run = corrected_run(plan, order=order, forecast=forecast, correction=correction)
    end = Flow(run, velocity).sample(random_latent())[-1]
    whole = naive_path("C" * len(plan), velocity, 0, False)[-1]
    torch.testing.assert_close(end, whole, **CLOSE)
    assert "R" in plan and run.trace.errors == 0


def test_without_correction_that_is_not_so():
    """Else the test above would tell nothing."""
    plan, velocity = "CCRCRRCRRRC", in_logsnr(1.0, -0.8)
    end = Flow(corrected_run(plan, order=0, correction="off"), velocity).sample(random_latent())[-1]
    whole = naive_path("C" * len(plan), velocity, 0, False)[-1]
    assert (end - whole).abs().max() > 0.05


@pytest.mark.parametrize("split", [False, True], ids=["batched", "split"])
@pytest.mark.parametrize("cfg_mode", ["cond", "separate"])
def test_branches_each_owe_their_own(split, cfg_mode):
    plan = "CCRRCRRRCC"

    def velocity(x, sigma, branch):
        return in_logsnr(*{"cond": (1.0, 0.5, -0.3), "uncond": (-2.0, 0.1)}[branch])(x, sigma)

    run = corrected_run(plan, cfg_mode=cfg_mode)
    end = Flow(run, velocity, ("cond", "uncond"), split).sample(random_latent())[-1]

    def guided(x, sigma):
        return sum(g * velocity(x, sigma, name) for name, g in GUIDANCE.items())

    whole = naive_path("C" * len(plan), guided, 0, False)[-1]
    torch.testing.assert_close(end, whole, **CLOSE)


def test_a_branch_that_was_computed_in_between_owes_only_its_own_steps():
    """Uncond is absent while cond is reused: there is nothing that it could make good."""
    run = corrected_run("CCRRC")
    flow = Flow(run, in_logsnr(1.0, 0.5), ("cond", "uncond"), split=True)
    x = random_latent()
    for step, names in enumerate((("cond", "uncond"),) * 2 + (("cond",),) * 2):
        flow.names = names
        x = flow.evaluate(x, step, run.schedule.sigmas[step])
    owed = {key[0]: len(history.owed) for key, history in run.store.histories.items()}
    assert owed == {"cond": 2, "uncond": 0}


# When nothing is owed


def outputs(run, monkeypatch, steps):
    """For every computed call whether the sampler got the model's own output."""
    same, record = [], Call.record_output

    def watched(call, output):
        found = record(call, output)
        same.append(found is output)
        return found

    monkeypatch.setattr(Call, "record_output", watched)
    Flow(run, turning).sample(random_latent(), steps)
    return same


@pytest.mark.parametrize(
    ("plan", "same"),
    [("CCCC", [1, 1, 1, 1]), ("CRCC", [1, 0, 1]), ("CRRC", [1, 0]), ("CCRCRC", [1, 1, 0, 0])],
)
def test_the_output_is_another_only_where_something_is_owed(plan, same, monkeypatch):
    assert outputs(corrected_run(plan), monkeypatch, len(plan)) == list(map(bool, same))


@pytest.mark.parametrize("off", ["off", "auto"])
def test_uncorrected_outputs_are_the_models_own(off, monkeypatch):
    run = corrected_run("CRRCRC", correction=off)
    assert outputs(run, monkeypatch, 6) == [True] * 3


def test_the_kept_value_is_the_models_own_and_not_the_corrected_one():
    run = corrected_run("CRRC", order=0)
    flow = Flow(run, turning)
    path = flow.sample(random_latent())
    (history,) = run.store.histories.values()
    torch.testing.assert_close(history.values[-1], turning(path[3], run.schedule.sigmas[3]))
    assert not torch.allclose(flow.told[3]["cond"], history.values[-1], atol=1e-3)


@pytest.mark.parametrize("plan", ["CR", "CRRR", "CCRCRR"])
def test_a_run_may_end_in_reused_steps(plan):
    run = corrected_run(plan)
    path = Flow(run, turning).sample(random_latent())
    torch.testing.assert_close(path[-1], naive_path(plan, turning, 1, True)[-1], **CLOSE)
    run.close()
    assert run.store.nbytes == 0


def test_what_was_owed_is_forgotten_with_the_cache():
    run = corrected_run("CRRCC")
    flow = Flow(run, turning)
    flow.sample(random_latent(), steps=3)
    run.forget()
    x, sigma = random_latent(1), run.schedule.sigmas[3]
    assert torch.equal(flow.evaluate(x, 3, sigma), turning(x, sigma))


def test_a_debt_is_never_paid_across_a_change_of_the_input():
    run = corrected_run("CRRCC")
    flow = Flow(run, turning)
    flow.sample(random_latent(), steps=3)
    x, sigma = random_latent(1, (2, 3, 2, 2, 5)), run.schedule.sigmas[3]
    torch.testing.assert_close(flow.evaluate(x, 3, sigma), turning(x, sigma), rtol=0, atol=1e-6)
    assert run.trace.errors == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_corrected_outputs_have_the_type_of_the_model(dtype):
    run = corrected_run("CRRC")
    flow = Flow(run, lambda x, sigma, branch: (0.5 * x + sigma).to(dtype))
    flow.sample(random_latent(dtype=dtype))
    assert {value["cond"].dtype for value in flow.told} == {dtype}


# Weights


def positions(*sigmas):
    return [Position(i, i, s) for i, s in enumerate(sigmas)]


def test_with_nothing_owed_the_value_is_its_own():
    *known, now = positions(0.9, 0.7, 0.5)
    assert correction_weights(known, now, -0.1, []) == [0.0, 0.0, 1.0]


@settings(max_examples=60)
@given(
    cuts=st.lists(st.integers(1, 20), min_size=3, max_size=9),
    owed=st.lists(st.tuples(st.integers(0, 8), st.floats(-0.2, -0.01)), max_size=4),
    length=st.floats(-0.2, -0.01),
)
def test_corrections_leave_a_constant_alone(cuts, owed, length):
    """Weights of every kind sum to 1, so that a velocity that does not change stays."""
    sigmas = 0.97 - 0.9 * np.cumsum(cuts) / np.sum(cuts)
    *known, now = positions(*sigmas.tolist())
    at = Position(9, 9, float((sigmas[-1] + sigmas[-2]) / 2))
    debts = [Owed(at, went, tuple(Forecast(min(k, 3)).weights(known, at))) for k, went in owed]
    weights = correction_weights(known, now, length, debts)
    limit = 1e-9 * (1 + sum(map(abs, weights)))
    assert sum(weights) == pytest.approx(1.0, abs=limit)
    assert len(weights) == len(known) + 1


def test_at_most_three_values_are_interpolated():
    *known, now = positions(0.9, 0.8, 0.7, 0.6, 0.4)
    held = Owed(Position(9, 9, 0.5), -0.1, (0.0, 0.0, 0.0, 1.0))
    assert correction_weights(known, now, -0.1, [held])[:2] == [0.0, 0.0]
    assert all(correction_weights(known, now, -0.1, [held])[2:])


def test_a_hold_over_one_step_worked_by_hand():
    first, between, now = positions(0.75, 0.5, 0.25)  # log-SNR -log 3, 0, log 3: half-way
    debt = Owed(between, -0.25, (1.0,))
    weights = correction_weights([first], now, -0.125, [debt])
    assert weights == pytest.approx([2 * (0.5 - 1), 1 + 2 * 0.5])


def test_a_step_that_goes_nowhere_pays_nothing():
    run = corrected_run("CRCC", sigmas=[0.9, 0.7, 0.5, 0.5, 0.3])
    Flow(run, turning).sample(random_latent())
    assert run.trace.errors == 0
    run = corrected_run("CRC", sigmas=[0.9, 0.7, 0.5, 0.5])
    path = Flow(run, turning).sample(random_latent())
    assert torch.equal(path[-1], path[-2]) and run.trace.errors == 0
    assert EULER.corrects
