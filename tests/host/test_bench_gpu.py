"""The GPU benchmark's schedules; and all of it at a tiny size, on a CPU."""

import argparse
import json
import os
import subprocess
import sys
from importlib import import_module

import pytest
import torch
from checkout import ROOT

from bench.gpu_cases import CASES, forced
from bench.stand_ins import NEVER_USED

MODEL = "14B I2V 832x480x81"
FAST_1_3B = {*range(10), 14, 19, 24, 29, 34, 38, 41, 44, 46, 48, 49}
FAST_14B = {*range(10), 16, 23, 30, 36, 41, 44, 47, 49}
"""Steps that MagCache's own rule computes with its published curves, E 0.12 K 4 and E 0.24 K 6."""


def script(*arguments, **variables):
    known = {
        k: v for k, v in os.environ.items() if k not in ("COMFYUI_PATH", "WAN_STEP_CACHE_HOST")
    }
    return subprocess.run(
        [sys.executable, ROOT / "bench" / "gpu.py", *arguments],
        env={**known, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    host = os.environ["WAN_STEP_CACHE_HOST"]
    done = script(
        "--device", "cpu", "--quick", "--models", MODEL, "--comfyui", host, "--out", folder,
        "--stand-ins", *NEVER_USED,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("case", "computed"),
    [(CASES[0], FAST_1_3B), (CASES[7], FAST_14B)],
    ids=["1.3B", "14B"],
)
def test_magcache_computes_the_published_steps(host, pack, unalarmed, case, computed):
    assert case.curve is not None
    letters = case.letters()
    assert {step for step, letter in enumerate(letters) if letter == "C"} == computed


def test_taylorseers_interval_is_the_packs_own_schedule(host, pack, unalarmed):
    (case,) = (case for case in CASES if case.setting == "interval 2")
    assert case.letters() == "CR" * 24 + "CC"


def test_a_model_that_the_gpu_has_no_room_for_is_left_out_and_the_others_are_timed(
    host, pack, unalarmed, tmp_path, monkeypatch
):
    run, fill = import_module("bench.gpu_run"), import_module("bench.gpu_run").fill

    def too_large(found, bench, model, budget):
        if model.name == "14B 832x480x81":
            raise torch.OutOfMemoryError("CUDA out of memory")
        fill(found, bench, model, budget)

    monkeypatch.setattr(run, "fill", too_large)
    names = ["14B 832x480x81", MODEL]
    options = argparse.Namespace(
        device="cpu", quick=True, models=names, out=tmp_path, budget=20.0, time_limit=None,
        stand_ins=None,
    )  # fmt: skip
    run.measure(options)
    found = json.loads((tmp_path / "gpu.json").read_text())["models"]
    assert [one["name"] for one in found] == names
    assert "out of memory" in found[0]["left_out"] and found[1]["ways"]
    assert "Left out: the GPU ran out of memory." in (tmp_path / "gpu.md").read_text()


def test_a_model_that_there_is_not_is_refused_beside_one_that_there_is(
    host, pack, unalarmed, tmp_path
):
    run, error = import_module("bench.gpu_run"), import_module("devtools.errors").DevError
    options = argparse.Namespace(models=[MODEL, "15B"], out=tmp_path / "out")
    with pytest.raises(error, match=f"--models: there is no '15B'; .*'{MODEL}'"):
        run.measure(options)
    assert not options.out.exists()


@pytest.mark.parametrize(("steps", "computed"), [(50, 25), (50, 14), (50, 18), (40, 27), (5, 2)])
def test_a_forced_schedule_computes_its_share(steps, computed):
    letters = forced(steps, computed)
    assert (len(letters), letters.count("C")) == (steps, computed)
    assert letters[0] == letters[-1] == "C"
    gaps = [len(gap) for gap in letters[: letters.rindex("C")].lstrip("C").split("C")]
    assert max(gaps) - min(gaps) <= 1


def test_every_way_and_case_of_a_model_is_timed(out):
    found = json.loads((out / "gpu.json").read_text())
    (model,) = found["models"]
    assert (model["name"], model["left_out"], found["device"]) == (MODEL, "", "cpu")
    assert found["stand_ins"] == sorted(NEVER_USED)
    assert len(model["ways"]) == 7 and all(way["reused_ms"] > 0 for way in model["ways"])
    (case,) = model["cases"]
    assert (case["computed"], case["steps"], case["expected"]) == (15, 40, 2.6667)
    assert case["sampled"] and case["ratio"] > 0


def test_the_page_is_written(out):
    page = (out / "gpu.md").read_text()
    assert f"### {MODEL}" in page and "| MagCache | E 0.24, K 6 | 15 of 40 |" in page


def test_what_is_missing_is_said_with_a_remedy(tmp_path):
    for arguments, words in (
        ((), ("--comfyui PATH",)),
        (("--comfyui", str(tmp_path)), (str(tmp_path), "--comfyui PATH")),
    ):
        done = script(*arguments)
        assert done.returncode == 1 and not done.stdout.count("Traceback")
        assert all(word in done.stdout + done.stderr for word in words)


def test_without_a_gpu_it_says_so():
    done = script(WAN_STEP_CACHE_HOST=os.environ["WAN_STEP_CACHE_HOST"], CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 1 and "there is no CUDA device" in done.stdout + done.stderr
