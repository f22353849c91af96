"""The README's figures of quality are those of the benchmark."""

import json
import re
from decimal import ROUND_HALF_UP, Decimal

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


def main_rows():
    """What was measured in the main scenario."""
    results = json.loads((ROOT / "bench" / "results" / "quality.json").read_text())
    return results["scenarios"][MAIN.name]["rows"]


def measured(forecast="auto"):
    """Mean PSNR at half of the evaluations by method."""
    rows = main_rows()
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
        if not name.startswith(("host", "fewer", "every", "TeaCache e0")) and "CFG" not in name
    ]
    assert len(held) == 7
    assert min(held) >= 35 and max(held) <= 38


@pytest.mark.parametrize(
    ("method", "knobs"),
    [
        ("CFG Cache", ["quality", "balanced", "fast"]),
        ("EasyCache", ["threshold 0.035", "threshold 0.06"]),
        ("EasyCache + CFG Cache", ["threshold 0.035"]),
    ],
)
def test_what_cfg_cache_keeps_and_saves_is_what_was_measured(method, knobs):
    text = (ROOT / "README.md").read_text().split("### Apply CFG Cache")[1].split("### ")[0]
    measured = (row for row in main_rows() if row["method"] == method)
    rows = {row["knob"]: row for row in measured if row["forecast"] == "auto"}
    for knob in knobs:
        row = rows[knob]
        share = Decimal(str(row["computed_share"])).quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert f"{row['psnr']['mean']:.1f} dB at {100 * share:.0f} %" in " ".join(text.split())
