"""The collapse alarm: magnitudes that leave the band end reuse; all others are left alone."""

import pytest
import torch
from flow import Flow, Planned, flow_run

from cache_core.alarm import BAND, LETTERS, Alarm, Mailbox


def rung_by(*values):
    """What the alarm says of magnitudes in turn: (of a branch, reused) or with its name."""
    alarm = Alarm()
    for size, reused, *branch in values:
        alarm.watch(branch[0] if branch else "cond", torch.full((2, 2), size / 2), reused)
        alarm.look()
    return alarm.rung


@pytest.mark.parametrize(
    ("values", "rings"),
    [
        ([(1, False), (1.9, True), (0.6, True), (1, False)], False),
        ([(1, False), (2.1, True)], True),
        ([(1, False), (0.4, True)], True),
        ([(1, False), (1, True), (2.1, False)], True),
        ([(1, False), (1, True), (0.4, False)], True),
        ([(1, False), (float("nan"), True)], True),
        ([(1, False), (float("inf"), True)], True),
        ([(0, False), (0, True)], True),
        ([(1, False), (2.1, False), (5, False)], False),  # nothing was reused: it is the model's
        ([(1, False), (1, True), (1.5, False), (2.9, True)], False),  # against the newest computed
        ([(1, False), (9, False, "uncond"), (1, True), (9, True, "uncond")], False),
        ([(1, True)], False),
    ],
)
def test_it_rings_outside_the_band_around_the_last_computed_value(values, rings):
    told = rung_by(*values)
    assert (told is not None) == rings
    assert BAND == 2.0


def test_nobody_waits_for_a_magnitude(monkeypatch):
    """What is under way is not looked at, and no tensor is read."""
    reads = []
    for name in ("item", "tolist", "cpu", "__float__", "__bool__"):
        monkeypatch.setattr(torch.Tensor, name, lambda *args, name=name: reads.append(name))
    alarm = Alarm()
    alarm.watch("cond", torch.ones(4), False)
    alarm.watch("cond", torch.full((4,), 9.0), True)
    assert alarm.rung is None
    alarm.look()
    assert "4.5 times" not in alarm.rung and "9 times" in alarm.rung
    assert reads == []


def test_letters_come_in_order_and_a_full_box_takes_no_more():
    box = Mailbox(cuda=False)
    slots = [box.post(torch.tensor(float(n))) for n in range(LETTERS + 1)]
    assert slots == [*range(LETTERS), None]
    assert box.arrived() == [(n, float(n)) for n in range(LETTERS)]
    assert box.arrived() == []
    assert box.post(torch.tensor(7.0)) == 0


def sampled(plan, size, **options):
    """The run of a flow whose velocity has this size at a step."""
    sigmas = [1 - step / len(plan) for step in range(len(plan) + 1)]
    run = flow_run(Planned(plan), sigmas=sigmas, alarm=True, **options)

    def velocity(x, sigma, name):
        return torch.full_like(x, size(round((1 - sigma) * len(plan))))

    Flow(run, velocity, names=("cond", "uncond")).sample(torch.ones(2, 3, 2, 4, 5).double())
    return run


PLAN = "CCCRRCRRRRRR"


def test_a_run_that_has_collapsed_computes_on_and_says_so(caplog):
    run = sampled(PLAN, lambda step: 1.0 if step < 5 else 9.0)
    cond = [r.reason.value for r in run.trace.records if r.branch == "cond"]
    assert cond[:6] == [*["first evaluation"] * 1, *cond[1:3], *["below threshold"] * 2, cond[5]]
    assert cond[6:] == ["collapse alarm"] * 6
    assert run.trace.failsafes() == {"collapse alarm": 12}
    (note,) = run.trace.notes
    assert note.startswith("collapse alarm: the value computed after reused ones has 9 times")
    assert sum("computing the rest" in line for line in caplog.messages) == 1


def test_a_run_whose_magnitudes_stay_in_the_band_hears_nothing():
    run = sampled(PLAN, lambda step: 1.0 + 0.05 * step)
    assert run.trace.failsafes() == {}
    assert run.trace.counts()["cond"]["reused"] == 8


def test_a_forecast_that_runs_away_is_stopped():
    size = lambda step: 1.0 + 0.4 * step**2 * (step < 3)  # noqa: E731
    run = sampled("CCC" + "R" * 9, size, forecast="taylor", max_order=2, time_axis="step")
    assert run.trace.failsafes()["collapse alarm"] > 0
    assert run.trace.notes[0].startswith("collapse alarm: a reused value has")
