"""Writes docs/costs.md from the results of `python3 dev.py bench cost`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from devtools.markdown import table
from devtools.paths import ROOT

from . import gpu_page
from .cost_targets import (
    Verdict,
    expected_speedup,
    full_ms,
    overhead,
    rest_share,
    reuse,
    speedup,
    verdicts,
)
from .cost_texts import COUNTS, INTRODUCTION, MODEL, REPRODUCE, TIMES

Json = dict[str, Any]
NOTHING = "-"
WHEN = ("date", "commit")
GPU = ROOT / "bench" / "results" / "gpu.json"
TIMES_HEAD = (
    "method", "level", "kept", "without ms", "computed: own ms", "overhead", "paired [95 %]",
    "reused ms", "own ms", "of a full evaluation", "decision ms", "speed-up / expected [95 %]",
    "missed",
)  # fmt: skip
COUNTS_HEAD = (
    "method", "level", "kept", "waits c / r", "allocations c / r", "allocated KiB c / r",
    "all allocations r", "blocks r", "cache KiB", "peak over uncached KiB",
)  # fmt: skip


def place(out: Path | None) -> Path:
    """The page, in the documentation or in a folder."""
    return ROOT / "docs" / "costs.md" if out is None else out.resolve() / "costs.md"


def write(found: Json, page: Path) -> None:
    """The page."""
    page.write_text(text(found), encoding="ascii")


def text(found: Json) -> str:
    """The whole page."""
    facts = {**found["machine"], **found["versions"], **found["settings"]}
    facts |= {name: several(model[name] for model in found["models"]) for name in WHEN}
    parts = [INTRODUCTION.format(**facts)]
    for model in found["models"]:
        parts += [heading(model), table(TIMES_HEAD, (times(model, row) for row in model["rows"]))]
    parts.append(COUNTS)
    for model in found["models"]:
        head = f"### {model['name']}\n"
        parts += [head, table(COUNTS_HEAD, (counted(row) for row in model["rows"]))]
    return "\n".join([*parts, REPRODUCE, gpu_page.part(GPU)])


def several(values: Iterable[str]) -> str:
    """Different ones of them, in their order."""
    return ", ".join(dict.fromkeys(values))


def heading(model: Json) -> str:
    """What this model is."""
    size = " x ".join(map(str, model["latent"]))
    full = "all" if model["layers"] == model["published_layers"] else "only"
    facts = {**model, "size": size, "full": full, "times": TIMES if model["name"] == "tiny" else ""}
    return MODEL.format(**facts)


def name_of(row: Json) -> list[str]:
    """The cells that tell a configuration."""
    kept = f"{row['cache_device']}, {row['cache_dtype']}"
    return [row["method"], row["level"], kept]


def times(model: Json, row: Json) -> Iterator[str]:
    """A row of the table of times."""
    own, of_reuse = row["computed_own_ms"], row["reused_own_ms"]
    low, high = row["paired"]["interval"]
    yield from name_of(row)
    yield f"{row['plain_ms']['cpu']:.1f}"
    yield f"{own['own_cpu']:.2f}"
    yield percent(overhead(model, row).share)
    yield f"{percent(row['paired']['median'])} [{percent(low)}, {percent(high)}]"
    yield f"{row['reused_ms']['cpu']:.2f}"
    yield f"{of_reuse['own_cpu']:.2f}"
    yield percent(reuse(model, row).share)
    yield f"{own['deciding']:.2f}, {of_reuse['deciding']:.2f}"
    yield realised(model, row)
    yield missed(model, row)


def realised(model: Json, row: Json) -> str:
    """The speed-up, what it should be, and the interval of the one as a share of the other."""
    expected = expected_speedup(model, row)
    low, high = (percent(bound / expected) for bound in row["realised_interval"])
    return f"{row['realised_speedup']:.2f} / {expected:.2f} [{low}, {high}]"


def missed(model: Json, row: Json) -> str:
    """Which limits are not kept to, and by how much; or none."""
    found = [verdict for verdict in verdicts(model, row) if not verdict.met]
    return "; ".join(told_of(verdict, model, row) for verdict in found) or "none"


def told_of(verdict: Verdict, model: Json, row: Json) -> str:
    """A miss in words; of a reuse, how much would be left if the pack took no time at all."""
    rest = f" (rest {percent(rest_share(model, row))})" if verdict.what == "reuse" else ""
    return f"{verdict.what}: {percent(verdict.share)} of {percent(verdict.limit)}{rest}"


def counted(row: Json) -> Iterator[str]:
    """A row of the table of counts."""
    computed, reused = row["counts"]["computed"], row["counts"]["reused"]
    yield from name_of(row)
    yield f"{computed['own_reads']} / {reused['own_reads']}"
    yield f"{computed['own_allocations']} / {reused['own_allocations']}"
    yield f"{kib(computed['own_allocated'])} / {kib(reused['own_allocated'])}"
    yield str(reused["allocations"])
    yield str(reused["blocks"])
    yield kib(row["peak_cache_bytes"])
    yield kib(row["peak_bytes_over_uncached"])


def kib(nbytes: int | None) -> str:
    """In KiB."""
    return NOTHING if nbytes is None else f"{nbytes / 1024:.0f}"


def percent(share: float) -> str:
    """A share in percent: two digits behind the point where it is small."""
    return f"{100 * share:.2f} %" if abs(share) < 0.1 else f"{100 * share:.1f} %"


def told(model: Json, row: Json) -> str:
    """A row in a line of progress."""
    name = " ".join(name_of(row))
    reused = f"reused {row['reused_ms']['cpu']:.2f} of {full_ms(model, row):.0f} ms"
    own = f"own {row['computed_own_ms']['own_cpu']:.2f} ms ({percent(overhead(model, row).share)})"
    gain = f"x{row['realised_speedup']:.2f} ({percent(speedup(model, row).share)} of expected)"
    return f"{name:<34} {own}, {reused}, {gain}; missed: {missed(model, row)}"
