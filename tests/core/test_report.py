"""The words a user reads."""

from dataclasses import replace

import pytest
from toy import batched, make_run, sample

from cache_core import FBCache
from cache_core.decision import Action, Reason
from cache_core.keeping import Keeping
from cache_core.report import node_text, record_line, summary_line
from cache_core.trace import MethodInForce, Record, Trace

FBCACHE = MethodInForce(
    "FBCache", "balanced", "residual < 0.08; first 3 computed", "published", {}, "4"
)
TEACACHE = MethodInForce("TeaCache", "fast", "rel_l1 < 0.2", "ours", {}, None)
COMPUTED = Record(
    evaluation=4,
    step=4,
    sigma=0.93751,
    branch="cond",
    action=Action.COMPUTE,
    reason=Reason.ABOVE_THRESHOLD,
    method=None,
    metric=0.12346,
    seconds=1.5,
)
REUSED = replace(
    COMPUTED, action=Action.REUSE, reason=Reason.BELOW_THRESHOLD, method="FBCache", metric=0.01
)


@pytest.fixture
def trace():
    """10 of 30 evaluations of two branches computed in 100 s, a reuse costing nothing."""
    made = Trace("Wan T2V 14B", "output", [FBCACHE], steps=30)
    for branch in ("cond", "uncond"):
        for index in range(30):
            kind = COMPUTED if index % 3 == 0 else REUSED
            made.add(replace(kind, evaluation=index, step=index, branch=branch))
    made.seconds, made.peak_bytes = 100.0, 3 * 1024 * 1024
    return made


def test_the_log_line_says_what_ran_with_which_numbers_and_what_it_saved(trace):
    assert summary_line(trace) == (
        "Wan T2V 14B"
        " | FBCache balanced (residual < 0.08; first 3 computed; published)"
        " | cond 20 of 30 reused, uncond 20 of 30 reused"
        " | about 3.00x, 200.0 s saved of 300.0 s, output cache 3.0 MiB"
        " | failsafes: none"
    )


KEPT = {
    Keeping(): "",
    Keeping("cpu"): " in RAM",
    Keeping("gpu", "fp8"): " as fp8",
    Keeping("cpu", "bf16"): " in RAM as bf16",
}


@pytest.mark.parametrize(("keeping", "words"), KEPT.items(), ids=map(str, KEPT))
def test_the_log_line_says_where_values_were_kept_and_as_what(trace, keeping, words):
    trace.keeping = keeping
    assert f"output cache 3.0 MiB{words} |" in summary_line(trace)


def test_the_log_line_names_every_method(trace):
    trace.methods = [FBCACHE, TEACACHE]
    methods = summary_line(trace).split(" | ")[1]
    assert methods.endswith(" + TeaCache fast (rel_l1 < 0.2; ours)")


def test_the_face_of_a_node_shows_its_own_method(trace):
    trace.methods = [TEACACHE, FBCACHE]
    assert node_text(FBCACHE, trace).splitlines() == [
        "cond 20 of 30 reused, uncond 20 of 30 reused",
        "about 3.00x, 200.0 s saved of 300.0 s, output cache 3.0 MiB",
        "balanced: residual < 0.08; first 3 computed",
        trace.model,
        "failsafes: none",
    ]


def test_trouble_is_told_by_reason(trace):
    trace.add(replace(COMPUTED, reason=Reason.NO_HISTORY))
    trace.add(replace(COMPUTED, reason=Reason.NO_HISTORY))
    trace.add(replace(COMPUTED, reason=Reason.CHANGED))
    assert summary_line(trace).endswith("| failsafes: changed input 1, no history 2")
    assert node_text(FBCACHE, trace).splitlines()[-1] == "failsafes: changed input 1, no history 2"


RECORD_LINES = [
    (COMPUTED, "cond: compute (above threshold, metric 0.1235, 1.500 s)"),
    (REUSED, "cond: reuse (below threshold, metric 0.0100, 1.500 s)"),
    (
        replace(COMPUTED, branch="uncond", reason=Reason.WARM_UP, metric=None, seconds=0.0004),
        "uncond: compute (warm-up, 0.000 s)",
    ),
]


@pytest.mark.parametrize(("record", "words"), RECORD_LINES)
def test_one_line_a_branch(record, words):
    assert record_line(record, steps=30) == f"step 5/30, sigma 0.9375, {words}"


def test_an_empty_trace_says_that_nothing_was_cached():
    empty = Trace("Wan T2V 14B", "hidden", [FBCACHE], steps=0)
    for text in (summary_line(empty), node_text(FBCACHE, empty)):
        assert "the model was not called as expected: nothing was cached" in text
        assert "about 1.00x, 0.0 s saved of 0.0 s, hidden cache 0.0 MiB" in text


def test_a_trace_that_reused_nothing_saves_nothing():
    idle = Trace("Wan T2V 14B", "output", [FBCACHE], steps=30, records=[COMPUTED], seconds=9.0)
    assert "cond 0 of 1 reused" in summary_line(idle)
    assert "about 1.00x, 0.0 s saved of 9.0 s" in summary_line(idle)


def test_a_real_run_tells_the_numbers_in_force():
    run = make_run(FBCache(0.1, "hidden_rel_l2", 4, 0.2), steps=5, warmup_steps=2)
    sample(run, batched(*[1.0] * 5))
    line = summary_line(run.trace)
    for words in (
        "Wan T2V other (dim 4, 1 layers)",
        "FBCache custom (hidden_rel_l2 < 0.1",
        "ema 0.2",
        "first 2 and last 0",
        "set by hand",
        "cond 3 of 5 reused",
    ):
        assert words in line
    assert line.isascii()
