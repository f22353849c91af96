"""The quality benchmark, as the command runs it, on one prompt."""

import json
import math
import os
import subprocess
import sys

import pytest
from checkout import ROOT

PACK = {
    "FBCache", "TeaCache e0", "TeaCache e", "MagCache", "TaylorSeer", "AdaCache", "CustomCache",
    "EasyCache", "CFG Cache", "EasyCache + CFG Cache",
}  # fmt: skip
BASELINES = {
    "fewer steps", "every k-th step", "host EasyCache", "host EasyCache, input copied",
    "host LazyCache",
}  # fmt: skip
MAIN = "euler-30-cfg5"


def measured(folder, *arguments):
    """Runs the benchmark in its smallest form."""
    command = [sys.executable, "-m", "bench.quality", "--quick", "--limit", "1", "--out", folder]
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, env=os.environ, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def found(out):
    return json.loads((out / "quality.json").read_text())


@pytest.fixture(scope="module")
def rows(found):
    return found["scenarios"][MAIN]["rows"]


def test_results_say_where_and_how_they_were_measured(found):
    assert found["format"] == 1 and found["machine"]["cpu"] and found["machine"]["cores"]
    assert set(found["versions"]) == {"pack", "comfyui", "torch", "python"}
    assert found["settings"]["quick"] and len(found["settings"]["prompts"]) == 1
    scenario = found["scenarios"][MAIN]
    assert (scenario["steps"], scenario["sampler"], scenario["cfg"]) == (30, "euler", 5)
    assert scenario["uncached"]["cpu_seconds"] > 0


def test_every_method_and_baseline_is_measured(rows):
    for family, names, values in (("pack", PACK, 2), ("baseline", BASELINES, 1)):
        measured = [row["method"] for row in rows if row["family"] == family]
        assert sorted(measured) == sorted([*names] * values)


def test_rows_hold_numbers(rows):
    for row in rows:
        assert 0.2 < row["computed_share"] < 1 and row["seconds"] > 0
        for quality in (row["psnr"], row["ssim"]):
            (value,) = quality["prompts"]
            assert math.isfinite(value)
            assert quality["mean"] == quality["median"] == quality["worst"] == value
            assert quality["interval"] == [value, value]
        assert (row["peak_cache_bytes"] is None) == (row["in_force"] is None)
        assert row["computed"] == [pytest.approx(30 * row["computed_share"], abs=0.01)]


def test_the_pack_works_without_failsafes_and_beats_fewer_steps(rows):
    ours = [row for row in rows if row["family"] == "pack"]
    assert all(row["failsafes"] == {} and row["peak_cache_bytes"] for row in ours)
    (fewer,) = (row for row in rows if row["method"] == "fewer steps")
    assert all(row["psnr"]["mean"] > fewer["psnr"]["mean"] for row in ours)


def test_the_hosts_easycache_is_spoilt_unless_its_input_is_copied(rows):
    by_method = {row["method"]: row["psnr"]["mean"] for row in rows}
    assert by_method["host EasyCache, input copied"] > by_method["host EasyCache"] + 5


def test_page_and_picture_are_written(out):
    page = (out / "benchmarks.md").read_text()
    assert "](quality.png)" in page
    assert all(f"| {name} |" in page.replace("**", "") for name in PACK | BASELINES)
    assert (out / "quality.png").read_bytes().startswith(b"\x89PNG")


def test_two_experts_a_given_first_frame_and_an_image_are_measured_too(tmp_path):
    names = ("euler-30-cfg5-experts", "euler-30-cfg5-first_frame", "euler-30-cfg5-image")
    wanted = ("--jobs", "1", "--only", "EasyCache", "MagCache", "--scenario", *names)
    found = json.loads((measured(tmp_path, *wanted) / "quality.json").read_text())["scenarios"]
    assert sorted(found) == sorted(names)
    for scenario in found.values():
        assert [row["method"] for row in scenario["rows"]] == ["MagCache"] * 2 + ["EasyCache"] * 2
        for row in scenario["rows"]:
            assert row["failsafes"] == {} and 25 < row["psnr"]["mean"] < 70
            assert row["computed"] == [pytest.approx(30 * row["computed_share"], abs=0.01)]


def test_with_streams_of_their_own_the_stages_of_a_sampler_share_nothing(tmp_path):
    names = ("EasyCache", "EasyCache, own streams")
    wanted = ("--jobs", "1", "--only", *names, "--scenario", "heun-16-cfg5")
    (scenario,) = json.loads((measured(tmp_path, *wanted) / "quality.json").read_text())[
        "scenarios"
    ].values()
    one, other = ([row for row in scenario["rows"] if row["method"] == name] for name in names)
    assert len(one) == len(other) == 2
    for shared, apart in zip(one, other, strict=True):
        assert shared["knob"] == apart["knob"] and apart["failsafes"] == {}
        assert apart["peak_cache_bytes"] == 2 * shared["peak_cache_bytes"]
        assert shared["computed"] != apart["computed"] and 20 < apart["psnr"]["mean"] < 80
