"""Who decides for whom, and the reason that each branch is told."""

import pytest
import torch
from toy import (
    BATCH,
    Rows,
    ToyModel,
    batched,
    call_of,
    evaluate,
    make_run,
    pattern,
    sample,
    split,
    story,
)  # fmt: skip

from cache_core.decision import Reason

STEADY = [1.0] * 4
FIRST = "cond compute (first evaluation), uncond compute (first evaluation)"
REUSED = "cond reuse (below threshold), uncond reuse (below threshold)"


def rows(text, **more):
    """'cond 1.0, uncond 2.0' -> the rows of one call."""
    pairs = (word.split() for word in text.split(","))
    return [Rows(name, float(feature), **more) for name, feature in pairs]


def told(script, **options):
    run = make_run(**options)
    sample(run, script)
    return story(run)


@pytest.mark.parametrize("script", [batched(*STEADY), split(*STEADY)], ids=["batched", "split"])
def test_what_does_not_change_is_computed_once(script):
    assert told(script) == [FIRST, REUSED, REUSED, REUSED]


def test_reused_values_are_those_of_the_last_computed_evaluation():
    run = make_run()
    values = sample(run, batched(1.0, 1.05, 2.0, 2.1, 1.0))
    assert values == [[[1, 2]], [[1, 2]], [[3, 4]], [[3, 4]], [[5, 6]]]
    assert pattern(run) == "CRCRC"


def test_a_call_that_reuses_does_not_run_the_rest_of_the_model():
    model = ToyModel()
    sample(make_run(), split(*[1.0] * 10), model=model)
    assert model.full_runs == 2


@pytest.mark.parametrize("order", [("cond", "uncond"), ("uncond", "cond")])
def test_in_split_calls_the_first_decides_for_the_second(order):
    decider, follower = order
    script = [[[Rows(decider, 1.0)], [Rows(follower, size)]] for size in (1.0, 9.0, 81.0)]
    assert all("reuse" in line and "compute" not in line for line in told(script)[1:])
    script = [[[Rows(decider, size)], [Rows(follower, 1.0)]] for size in (1.0, 9.0, 81.0)]
    assert all("above threshold" in line and "reuse" not in line for line in told(script)[1:])


def test_in_one_call_cond_decides_wherever_its_rows_are():
    script = [[rows("uncond 1, cond 1")], [rows("uncond 9, cond 1")], [rows("uncond 9, cond 9")]]
    assert told(script)[1:] == [
        "uncond reuse (below threshold), cond reuse (below threshold)",
        "uncond compute (above threshold), cond compute (above threshold)",
    ]


def test_separate_branches_decide_each_for_itself():
    calls = [rows("cond 1"), rows("uncond 1")], [rows("cond 1"), rows("uncond 9")]
    assert told(list(calls), cfg_mode="separate") == [
        FIRST, "cond reuse (below threshold), uncond compute (above threshold)",
    ]  # fmt: skip


def test_separate_branches_in_one_call_reuse_only_together():
    run = make_run(cfg_mode="separate")
    sample(run, [[rows("cond 1, uncond 1")], [rows("cond 1.05, uncond 2")]])
    joined = "cond compute (batched with a computed branch), uncond compute (above threshold)"
    assert story(run) == [FIRST, joined]


def test_the_reference_is_what_was_computed_last_even_for_company():
    sizes = ("cond 1, uncond 1", "cond 1.05, uncond 2", "cond 1.10, uncond 2")
    run = make_run(cfg_mode="separate")
    sample(run, [[rows(size)] for size in sizes])
    assert story(run)[-1] == REUSED
    metrics = [r.metric for r in run.trace.records if r.branch == "cond"]
    assert metrics == [None, pytest.approx(0.05, rel=1e-4), pytest.approx(0.05 / 1.05, rel=1e-4)]


def test_a_branch_that_was_computed_only_for_company_has_skipped_nothing():
    script = [[rows(f"cond 1, uncond {2.0**step}")] for step in range(6)]
    run = make_run(cfg_mode="separate", max_consecutive_skips=2)
    sample(run, script)
    reasons = [r.reason for r in run.trace.records if r.branch == "cond"]
    assert reasons == [Reason.FIRST] + [Reason.JOINED] * 5


def test_a_branch_missing_at_the_last_computed_evaluation_has_no_history():
    lone, both = [rows("cond 1")], [rows("cond 1"), rows("uncond 1")]
    assert told([lone, both, both]) == [
        "cond compute (first evaluation)",
        "cond reuse (below threshold), uncond compute (no history)",
        REUSED,
    ]
    lone = [rows("cond 3")]
    assert told([both, lone, [rows("cond 3"), rows("uncond 1")]])[1:] == [
        "cond compute (above threshold)",
        "cond reuse (below threshold), uncond compute (no history)",
    ]


def test_in_one_call_a_branch_without_history_makes_the_others_compute():
    script = [[rows("cond 1")], [rows("cond 1, uncond 1")], [rows("cond 1, uncond 1")]]
    assert told(script)[1:] == [
        "cond compute (batched with a computed branch), uncond compute (no history)",
        REUSED,
    ]


def test_a_branch_that_pauses_while_others_reuse_keeps_its_value():
    both, lone = [rows("cond 1"), rows("uncond 1")], [rows("cond 1")]
    assert told([both, lone, lone, both])[-1] == REUSED


def test_another_deciding_branch_starts_from_nothing():
    cond, both = [rows("cond 1")], [rows("cond 1"), rows("uncond 1")]
    other = [rows("uncond 1"), rows("cond 1")]
    lines = told([both, other, other, cond, cond])
    assert lines[1] == "uncond compute (changed input), cond compute (changed input)"
    assert "reuse" in lines[2] and "reuse" not in lines[3] and "reuse" in lines[4]


def test_a_condition_that_comes_twice_in_an_evaluation_is_two_branches():
    run = make_run()
    twice = [[rows("cond 1"), rows("cond 5"), rows("uncond 1")]] * 3
    assert sample(run, twice) == [[[1], [2], [3]]] * 3
    run = make_run(cfg_mode="separate")
    assert sample(run, twice) == [[[1], [2], [3]]] * 3


@pytest.mark.parametrize("mode", ["cond", "separate"])
def test_context_windows_do_not_share_anything(mode):
    near, far = (lambda size, w=w: [Rows("cond", size, w), Rows("uncond", size, w)] for w in (0, 1))
    script = [[near(1.0), far(5.0)], [near(1.0), far(9.0)], [near(1.0), far(9.0)]]
    run = make_run(cfg_mode=mode)
    assert sample(run, script) == [[[1, 2], [3, 4]], [[1, 2], [5, 6]], [[1, 2], [5, 6]]]


def test_a_changed_shape_is_computed_and_then_reused():
    lines = told(batched(1.0, 1.0) + batched(1.0, 1.0, tokens=4) + batched(1.0))
    changed = "cond compute (changed input), uncond compute (changed input)"
    assert lines == [FIRST, REUSED, changed, REUSED, changed]


def test_a_follower_whose_input_changed_is_computed():
    script = split(1.0, 1.0)
    script[1][1] = [Rows("uncond", 1.0, tokens=4)]
    assert told(script)[1] == "cond reuse (below threshold), uncond compute (changed input)"


def test_rows_keep_their_places_and_a_reuse_adds_to_a_base_out_of_place():
    run, model = make_run(), ToyModel()
    first = rows("uncond 1, cond 1")
    evaluate(run, [first], 1.0, model)
    run.begin(torch.tensor([0.9]))
    call = call_of(run, list(reversed(first)))
    call.observe(*model.block_0(first))
    base = torch.full((2 * BATCH, 1), 10.0)
    assert call.reuse(base)[:, 0].tolist() == [12.0] * BATCH + [11.0] * BATCH
    assert base.unique().tolist() == [10.0]
    assert call.reuse()[:, 0].tolist() == [2.0] * BATCH + [1.0] * BATCH


def test_nothing_is_decided_twice_and_an_unobserved_call_computes():
    run, model = make_run(), ToyModel()
    evaluate(run, batched(1.0)[0], 1.0, model)
    run.begin(torch.tensor([0.9]))
    call = call_of(run, batched(1.0)[0][0])
    assert not call.settled and not call.reuses
    call.give_up(Reason.NOT_OBSERVED)
    assert call.settled and not call.reuses
    call.observe(*model.block_0(batched(1.0)[0][0]))
    assert {decision.reason for decision in call.decisions} == {Reason.NOT_OBSERVED}


def test_a_call_outside_an_evaluation_is_refused():
    run = make_run()
    with pytest.raises(RuntimeError, match="begin"):
        call_of(run, batched(1.0)[0][0])
