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


def scenarios():
    """What was measured, by scenario."""
    return json.loads((ROOT / "bench" / "results" / "quality.json").read_text())["scenarios"]


def main_rows():
    """What was measured in the main scenario."""
    return scenarios()[MAIN.name]["rows"]


def measured(forecast="auto", rows=None):
    """Mean PSNR at half of the evaluations by method."""
    rows = rows or main_rows()
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
    assert min(held) >= 38 and max(held) <= 42


def words():
    """Every figure that a page may say, as it says them: decibels, and percent of what is computed.

    ``half``: mean PSNR at half of the evaluations by method, ``hold`` and ``taylor`` with these
    forecasts. ``rows``: of every row of a method with forecast auto by its knob or preset.
    ``elsewhere``: mean PSNR at half in the other scenarios, by scenario and method.
    """
    rows: dict[str, dict[str, str]] = {}
    for row in main_rows():
        if row["forecast"] == "auto":
            share = Decimal(str(row["computed_share"])).quantize(Decimal("0.01"), ROUND_HALF_UP)
            told = {"dB": f"{row['psnr']['mean']:.1f}", "share": f"{100 * share:.0f}"}
            rows[f"{row['method']}, {row['knob']}"] = told
    at_half = {
        name: {method: f"{value:.1f}" for method, value in measured(forecast).items()}
        for name, forecast in (("half", "auto"), ("hold", "hold"), ("taylor", "taylor"))
    }
    elsewhere = {
        f"{name}, {method}": f"{value:.1f}"
        for name, scenario in scenarios().items()
        for method, value in measured(rows=scenario["rows"]).items()
    }
    return {"rows": rows, "elsewhere": elsewhere, **at_half}


BESIDE = "{method} kept {{half[{method}]}} dB and EasyCache {{half[EasyCache]}} dB"
PRESETS = (
    "`quality` computed {{rows[{method}, quality][share]}} % of the evaluations and kept "
    "{{rows[{method}, quality][dB]}} dB, `balanced` {{rows[{method}, balanced][share]}} % and "
    "{{rows[{method}, balanced][dB]}} dB, `fast` {{rows[{method}, fast][share]}} % and "
    "{{rows[{method}, fast][dB]}} dB."
)
HOST = "host EasyCache, input copied"
ELSEWHERE = (
    "{{elsewhere[euler-30-cfg5-image, {method}]}}, "
    "{{elsewhere[euler-30-cfg5-first_frame, {method}]}} and "
    "{{elsewhere[euler-30-cfg5-experts, {method}]}}"
)
PHRASES = {
    "README.md": [
        "its presets keep {rows[CFG Cache, quality][dB]} dB at "
        "{rows[CFG Cache, quality][share]} % of the rows, {rows[CFG Cache, balanced][dB]} dB at "
        "{rows[CFG Cache, balanced][share]} % and {rows[CFG Cache, fast][dB]} dB at "
        "{rows[CFG Cache, fast][share]} %",
        "EasyCache: {rows[EasyCache, threshold 0.035][dB]} dB at "
        "{rows[EasyCache, threshold 0.035][share]} %, {rows[EasyCache, threshold 0.06][dB]} dB at "
        "{rows[EasyCache, threshold 0.06][share]} %",
        "chained they keep {rows[EasyCache + CFG Cache, threshold 0.035][dB]} dB at "
        "{rows[EasyCache + CFG Cache, threshold 0.035][share]} %",
        *(ELSEWHERE.format(method=method) for method in ("EasyCache", HOST)),
    ],
    "FBCache": [BESIDE.format(method="FBCache")],
    "MagCache": [BESIDE.format(method="MagCache")],
    "CustomCache": [BESIDE.format(method="CustomCache")],
    "TeaCache": [
        "TeaCache kept {half[TeaCache e]} dB without `use_ret_steps` and {half[TeaCache e0]} dB "
        "with it, EasyCache {half[EasyCache]} dB"
    ],
    "AdaCache": [BESIDE.format(method="AdaCache"), PRESETS.format(method="AdaCache")],
    "EasyCache": [
        "computed: {half[EasyCache]} dB (PSNR",
        "against {half[fewer steps]} dB with half as many steps",
        PRESETS.format(method="EasyCache"),
    ],
    "TaylorSeer": [
        BESIDE.format(method="TaylorSeer"),
        "{rows[TaylorSeer, quality][share]} % of the evaluations with `quality`, "
        "{rows[TaylorSeer, balanced][share]} % with `balanced` and "
        "{rows[TaylorSeer, fast][share]} % with `fast`; they kept "
        "{rows[TaylorSeer, quality][dB]}, {rows[TaylorSeer, balanced][dB]} and "
        "{rows[TaylorSeer, fast][dB]} dB",
    ],
    "CFGCache": [
        "`quality` kept {rows[CFG Cache, quality][dB]} dB at {rows[CFG Cache, quality][share]} % "
        "of the work, `balanced` {rows[CFG Cache, balanced][dB]} dB at "
        "{rows[CFG Cache, balanced][share]} % and `fast` {rows[CFG Cache, fast][dB]} dB at "
        "{rows[CFG Cache, fast][share]} %",
        "EasyCache alone kept {rows[EasyCache, threshold 0.035][dB]} dB at "
        "{rows[EasyCache, threshold 0.035][share]} % and {rows[EasyCache, threshold 0.06][dB]} dB "
        "at {rows[EasyCache, threshold 0.06][share]} %",
    ],
    "Compare": [
        "EasyCache kept {half[EasyCache]} dB and half as many steps kept {half[fewer steps]} dB"
    ],
    "Options": [
        "EasyCache kept {half[EasyCache]} dB with `forecast` `auto`, {taylor[EasyCache]} dB with "
        "`taylor` and {hold[EasyCache]} dB with `hold`"
    ],
}
"""By page, or by node for its help."""


@pytest.mark.parametrize("page", PHRASES)
def test_pages_have_the_measured_numbers(page):
    path = page if page.endswith(".md") else f"js/docs/WanStepCache_{page}.md"
    text = " ".join((ROOT / path).read_text().split())
    for phrase in PHRASES[page]:
        assert phrase.format(**words()) in text
    decibels = re.compile(r"([0-9.]+) dB")
    if page not in (path, "Compare"):  # there 100 dB are a rule
        told = sum(len(decibels.findall(phrase.format(**words()))) for phrase in PHRASES[page])
        assert len(decibels.findall(text)) == told, "a figure that nothing compares"
