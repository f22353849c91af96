"""Samplers of one, two and several evaluations per step."""

import pytest
import torch

STEPS = 6
SAMPLERS = {
    "euler": STEPS,
    "euler_ancestral": STEPS,
    "heun": 2 * STEPS - 1,
    "heunpp2": None,
    "dpm_2": 2 * STEPS - 1,
    "dpmpp_2m": STEPS,
    "dpmpp_sde": 2 * STEPS - 1,
    "uni_pc": STEPS,
    "lcm": STEPS,
}
"""Evaluations of the sampler, None where it is not worth knowing."""


@pytest.mark.parametrize("level", ["output", "hidden"])
@pytest.mark.parametrize(("sampler", "evaluations"), SAMPLERS.items(), ids=list(SAMPLERS))
def test_every_sampler_is_followed(wan, caching, model, traces, level, sampler, evaluations):
    plain = wan.sample(model, STEPS, sampler=sampler)
    armed = wan.sample(caching.cached(model, 0.0, level), STEPS, sampler=sampler)
    assert torch.equal(plain, armed)

    cached = caching.cached(model, 1.0, level, max_consecutive_skips=2)
    assert torch.isfinite(wan.sample(cached, STEPS, sampler=sampler)).all()
    trace = traces[-1]
    found = [record for record in trace.records if record.branch == "cond"]
    assert evaluations in (None, len(found))
    assert caching.actions(trace) == ("CRR" * STEPS)[: len(found)]
    assert {record.step for record in found} == set(range(trace.steps))
    if sampler != "heunpp2":
        assert [record.step for record in found] == sorted(record.step for record in found)
    assert trace.failsafes() == {}


@pytest.mark.parametrize("sampler", ["heun", "dpm_2", "heunpp2"])
def test_last_steps_are_computed_with_all_their_evaluations(wan, caching, model, traces, sampler):
    wan.sample(caching.cached(model, last_steps=2), STEPS, sampler=sampler)
    trace = traces[0]
    for record in trace.records:
        if record.step >= trace.steps - 2:
            assert record.reason.value == "last steps"
