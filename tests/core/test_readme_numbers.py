"""The README's figures of quality are those of the benchmark."""

import json
import re

import pytest

from bench.curves import curves, psnr_at
from bench.scenario import MAIN
from bench.statistics import mean
from devtools.paths import ROOT

ROW = re.compile(r"^\| \**(?P<name>[^|*]+?)\** \|.*\| (?P<psnr>[0-9.]+) dB \|$", re.MULTILINE)
METHODS = {
    "Apply TeaCache": "TeaCache e",
    "ComfyUI's EasyCache, with its input protected": "host EasyCache, input copied",
}


def measured(forecast="auto"):
    """Mean PSNR at half of the evaluations by method."""
    results = json.loads((ROOT / "bench" / "results" / "quality.json").read_text())
    rows = results["scenarios"][MAIN.name]["rows"]
    found = {name: psnr_at(curve, 0.5) for name, curve in curves(rows, forecast).items()}
    return {name: mean(values) for name, values in found.items() if values}


def test_the_guide_to_methods_has_the_measured_numbers():
    table = (ROOT / "README.md").read_text().split("| node | decides by |")[1].split("\n\n")[0]
    told = {m["name"]: float(m["psnr"]) for m in ROW.finditer(table)}
    known = measured()
    assert len(told) == 9
    for name, psnr in told.items():
        method = METHODS.get(name, name.removeprefix("Apply "))
        assert psnr == pytest.approx(known[method], abs=0.05), name


def test_plain_reuse_is_where_the_readme_says():
    held = [
        value
        for name, value in measured("hold").items()
        if not name.startswith(("host", "fewer", "every", "TeaCache e0"))
    ]
    assert len(held) == 7
    assert min(held) >= 35 and max(held) <= 38
