"""Control models in the conditions: what they add ends when they end.

The host's Wan takes no residuals of control models, so another pack stands in that puts them behind
a block.
"""

import pytest
import torch
from turns import in_turn

STEPS = 8
KINDS = {
    "all the time": [(1.5,)],
    "until 55 %": [(1.5, 0.0, 0.55)],
    "from 55 %": [(1.5, 0.55, 1.0)],
    "two in turn": [(1.5, 0.0, 0.55), (-1.5, 0.55, 1.0)],
    "one until 55 %, one always": [(1.5, 0.0, 0.55), (-1.5,)],
}
"""By kind: (value, start, end) of a chain of control models."""


def timed(kind):
    """True where something starts or ends during the run: at the sixth evaluation."""
    return "55" in str(KINDS[kind])


@pytest.fixture
def controlled(model, prompts):
    return prompts.taking_control(model)


@pytest.mark.parametrize("kind, level, method", in_turn(KINDS))
def test_control_ends_when_it_ends(
    controlled, prompts, passes, traces, kind, level, method, tell
):
    conditions = prompts.controlled(*KINDS[kind])
    seen = passes.assert_composes(controlled, method, level, STEPS, **conditions)
    assert seen.computed == [2, 0, 2, 0, 2, *([2, 0, 2] if timed(kind) else [0, 2, 0])]
    assert set(traces[-1].failsafes()) == ({"changed input"} if timed(kind) else set())
    reuse = "yes, computed where it starts or ends" if timed(kind) else "yes"
    tell("Neighbours", f"Control model: {kind}", result="identical", reuse=reuse)


def test_control_has_an_effect(wan, controlled, prompts):
    found = [wan.sample(controlled, 4, **prompts.controlled(*links)) for links in KINDS.values()]
    assert not any(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_cfg_cache_learns_anew_where_control_starts_or_ends(
    controlled, prompts, guiding, kind, tell
):
    conditions = prompts.controlled(*KINDS[kind])
    seen = guiding.assert_uncond_is_made_of_cond(controlled, STEPS, **conditions)
    assert seen.computed == [2, 1, 1, 2, 1, *([2, 1, 2] if timed(kind) else [1, 2, 2])]
    tell("Neighbours", f"Control model: {kind}", cfg_cache="yes")
