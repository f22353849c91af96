"""The cost benchmark, as the command runs it: counts are what they have to be, times are free."""

import json
import os
import subprocess
import sys

import pytest
import torch
from checkout import ROOT

from bench.clock import Clock
from bench.cost_page import told_of
from bench.cost_targets import Verdict, expected_speedup, full_ms, reuse, verdicts
from bench.counting import Counter

STEPS, COMPUTED = 6, 4
BRANCHES, VALUES, FP32 = 2, 2, 4
LATENT = 16 * 3 * 8 * 8 * FP32
"""Bytes of one branch's output."""
TOKENS, DIM, LAYERS = 48, 128, 2
RESIDUAL = TOKENS * DIM * FP32
SEEN = TOKENS * DIM // 8 * FP32
"""What FBCache keeps of block 0: every eighth token."""
SCALAR = FP32

CORRECTION = BRANCHES * (1 + 3 + 2) + 1
"""A correction: for each branch the result, three weighted values and two sums; both in one."""
MAGNITUDES = BRANCHES
FORECAST = 1 + BRANCHES * (2 + 1)
"""A forecast: the result; for each branch two weighted values and their sum."""
METRIC = 8
"""Residual of block 0; its change, two magnitudes, two means and their ratio; what is read."""

EXPECTED = {
    ("FBCache", "output"): {
        "reads": (1, 1),
        "own_allocations": (CORRECTION + MAGNITUDES + METRIC, FORECAST + MAGNITUDES + METRIC),
        "blocks": (LAYERS, 1),
        "peak": BRANCHES * VALUES * LATENT + SEEN,
    },
    ("TaylorSeer", "output"): {
        "reads": (0, 0),
        "own_allocations": (CORRECTION + MAGNITUDES, FORECAST + MAGNITUDES),
        "own_allocated": (14 * LATENT + 2 * SCALAR, 8 * LATENT + 2 * SCALAR),
        "blocks": (LAYERS, 0),
        "peak": BRANCHES * VALUES * LATENT,
    },
    ("TaylorSeer", "hidden"): {
        "reads": (0, 0),
        "own_allocations": (MAGNITUDES, FORECAST + MAGNITUDES),
        "own_allocated": (2 * SCALAR, 8 * RESIDUAL + 2 * SCALAR),
        "blocks": (LAYERS, 0),
        "peak": BRANCHES * VALUES * RESIDUAL,
    },
}
"""By method and level; pairs: of a computed evaluation behind a reused one, and of a reused one."""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "bench.cost", "--quick", "--out", folder]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def found(out):
    return json.loads((out / "cost.json").read_text())


@pytest.fixture(scope="module")
def rows(found):
    (model,) = found["models"]
    assert (model["dim"], model["layers"], model["tokens"]) == (DIM, LAYERS, TOKENS)
    return {(row["method"], row["level"]): row for row in model["rows"]}


def test_results_say_where_and_how_they_were_measured(found):
    assert found["format"] == 1 and found["machine"]["cpu"] and found["settings"]["quick"]
    assert set(found["versions"]) == {"pack", "comfyui", "torch", "python"}
    assert all(model["date"] and "commit" in model for model in found["models"])


def test_an_evaluation_costs_these_waits_allocations_blocks_and_bytes(rows):
    assert set(rows) == set(EXPECTED)
    for key, expected in EXPECTED.items():
        row = rows[key]
        counts = row["counts"]
        both = {
            name: (counts["computed"][name], counts["reused"][name])
            for name in (*counts["computed"],)
        }
        assert {n: both[n] for n in expected if n != "peak"} == {
            n: v for n, v in expected.items() if n != "peak"
        }, key
        assert row["peak_cache_bytes"] == expected["peak"], key
        assert both["own_reads"] == both["reads"]
        assert (row["evaluations"], row["computed"]) == (STEPS, COMPUTED)
        assert row["failsafes"] == {}


def test_memory_over_an_uncached_run_is_what_is_kept(rows):
    row = rows["TaylorSeer", "output"]
    assert row["peak_bytes_over_uncached"] == row["peak_cache_bytes"]


def test_every_limit_is_judged(found):
    (model,) = found["models"]
    for row in model["rows"]:
        assert [verdict.what for verdict in verdicts(model, row)] == ["overhead", "reuse"]
    fbcache, taylorseer, _ = model["rows"]
    assert expected_speedup(model, taylorseer) == STEPS / COMPUTED
    probed = model["probe_ms"] / full_ms(model, fbcache)
    assert expected_speedup(model, fbcache) == STEPS / (COMPUTED + 2 * probed)


@pytest.mark.parametrize(
    ("share", "limit", "at_least", "met"),
    [(0.02, 0.03, False, True), (0.04, 0.03, False, False), (0.9, 0.97, True, False)],
)
def test_a_limit_is_kept_to_or_not(share, limit, at_least, met):
    assert Verdict("what", share, limit, at_least).met is met


def test_a_missed_reuse_tells_what_is_left_without_the_pack():
    row = {
        "method": "TeaCache", "level": "output", "plain_ms": {"cpu": 10.0},
        "reused_ms": {"cpu": 0.5}, "reused_own_ms": {"own_cpu": 0.2},
    }  # fmt: skip
    model = {"layers": 2, "published_layers": 2, "block_ms": 1.0}
    assert told_of(reuse(model, row), model, row) == "reuse: 5.00 % of 1.00 % (rest 3.00 %)"


def test_the_page_is_written(out):
    page = (out / "costs.md").read_text()
    assert "only 2 of 10 layers" in page
    assert all(f"| {method} | {level} |" in page for method, level in EXPECTED)


def test_the_clock_counts_the_packs_time_alone():
    clock = Clock()
    now = iter((float(n), 10.0 * n) for n in range(6))
    clock.now = lambda: next(now)
    host = clock.works(lambda: None, ours=False)
    clock.works(host, ours=True)()
    assert (clock.wall, clock.cpu) == (2.0, 20.0)  # 0 to 1 and 2 to 3; the host's 1 to 2 is not


def test_new_memory_is_counted_and_no_other():
    working = [False]
    with Counter(lambda: working[0]) as counter:
        value = torch.ones(8)
        value.view(2, 4).add_(1)[0]
        working[0] = True
        value * 2
    counts = counter.counts()
    assert (counts.allocations, counts.allocated) == (2, 2 * 8 * 4)
    assert (counts.own_allocations, counts.own_allocated) == (1, 8 * 4)
