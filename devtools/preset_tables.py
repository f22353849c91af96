"""Writes docs/presets.md from the preset tables: `python3 -m devtools.preset_tables`."""

from __future__ import annotations

from collections.abc import Iterator

from cache_core import (
    adacache_presets,
    cfgcache_presets,
    easycache_presets,
    taylorseer_presets,
)
from cache_core.config import Options
from cache_core.customcache_presets import CustomCacheChoice
from cache_core.fbcache_presets import FBCACHE
from cache_core.guards import guards_of
from cache_core.identity import Identity
from cache_core.magcache_presets import MagCacheChoice
from cache_core.published import published
from cache_core.timetable import Outlook
from cache_core.variants import PUBLISHED, Variant
from cache_core.vocabulary import Size, TunedPreset
from cache_core.votes import foresee

from .markdown import table
from .paths import ROOT

PAGE = ROOT / "docs" / "presets.md"
PRESETS: tuple[TunedPreset, ...] = ("quality", "balanced", "fast")
SIZES: dict[str, Size] = {"1.3B": "1.3B", "5B": "5B", "14B": "14B", "A14B": "14B"}

INTRODUCTION = """# Presets

Written by `python3 -m devtools.preset_tables` from the tables in `cache_core`; a test compares.
With a preset other than `custom` these numbers are in force, and the log line says which. Nobody
has measured them with this pack on real 1.3B, 5B or 14B weights yet.
"""
MAGCACHE = """## Apply MagCache

E (`magcache_thresh`), K (`magcache_K`), R (`retention_ratio`), and the steps that are computed at
the step count of the curve. The first R of the steps and the last step are always computed; a pair
of experts counts each one's own steps. The curves' authors do not state the shift they calibrated
at: the pack assumes the default of Wan's own script, and finds the ratios of other schedules by
adding up logarithms over sigma.
"""
TEACACHE = """## Apply TeaCache

`rel_l1_thresh` by model and mode. With `use_ret_steps` the signal is e0 and the first 5 steps are
computed, without it e and the first and last step. How many steps that leaves depends on the
model's own time embedding: the plan is in the log before the first step. A model that nobody
published a polynomial for borrows that of the one most alike, and the log says so; a model of a
size nobody published goes by the raw signal.
"""
FIRST_BLOCK = """## Apply FBCache

`residual_diff_threshold` by metric and size of the model. How many steps are reused depends on the
video.
"""
OTHERS = """## Apply EasyCache, TaylorSeer, AdaCache, CFG Cache and CustomCache

The same on every model but for CustomCache, which takes TeaCache's thresholds for e, and LightX2V's
0.26 or more for fast. All but CFG Cache compute the first fifth of the steps, and all the last one.
CFG Cache's intervals are for CFG 5; at another scale s they are multiplied by sqrt(4 / (s - 1)), at
most doubled, 2 at least.
"""


def main() -> None:
    """Rewrites the page."""
    PAGE.write_text(page(), encoding="ascii")


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    parts += [FIRST_BLOCK, table(("metric", "model", *PRESETS, "source"), fbcache_rows())]
    parts += [TEACACHE, table(("model", "signal", *PRESETS, "source"), teacache_rows())]
    head = ("model", "curve's steps, shift", *PRESETS, "source")
    parts += [MAGCACHE, table(head, magcache_rows())]
    parts += [OTHERS, table(("node", "numbers", *PRESETS, "source"), other_rows())]
    return "\n".join(parts)


def fbcache_rows() -> Iterator[tuple[object, ...]]:
    """Thresholds by metric and size."""
    for metric, sizes in FBCACHE.items():
        for size, row in sizes.items():
            yield f"`{metric}`", size, row.quality, row.balanced, row.fast, row.source


def teacache_rows() -> Iterator[tuple[object, ...]]:
    """Thresholds by model and signal."""
    for name, entry in published("teacache").items():
        for signal in ("e0", "e"):
            if signal in entry:
                presets = entry[signal]["presets"]
                yield name, signal, *(presets[p] for p in PRESETS), presets["source"]


def magcache_rows() -> Iterator[tuple[object, ...]]:
    """Numbers and planned steps by model, an expert each."""
    for variant in PUBLISHED.values():
        size = SIZES[variant.family.rsplit("_", 1)[-1]]
        plans = [magcache_plan(variant, size, preset) for preset in PRESETS]
        method = MagCacheChoice("balanced", 0, 0, 0).resolve(identity(variant, size))
        curve = method.notes[-1].removeprefix("curve of ").replace("assumed shift", "shift")
        yield variant.label, curve, *plans, method.source


def other_rows() -> Iterator[tuple[object, ...]]:
    """The numbers of the methods that hardly know the model."""
    easy, taylor, ada = easycache_presets, taylorseer_presets, adacache_presets
    cfg = cfgcache_presets
    yield "EasyCache", "`reuse_threshold`", *(easy.PRESETS[p] for p in PRESETS), easy.SOURCE
    intervals = [f"{interval}, {order}" for interval, order, _ in map(taylor.PRESETS.get, PRESETS)]
    yield "TaylorSeer", "`interval`, `max_order`", *intervals, taylor.OURS
    books = [f"official for {ada.PRESETS[p]}" for p in PRESETS]
    yield "AdaCache", "`codebook`", *books, "published for Open-Sora, scaled to the run's steps"
    guided = [", ".join(f"{n:g}" for n in cfg.PRESETS[p]) for p in PRESETS]
    yield "CFG Cache", "`interval`, `start_percent`, `end_percent`", *guided, cfg.OURS
    known = identity(PUBLISHED["wan2.1_t2v_14B"], "14B")
    made = [CustomCacheChoice(p, 0).resolve(known) for p in PRESETS]
    thresholds = [method.policy.threshold for method in made]
    yield "CustomCache", "`rel_l1_thresh`, T2V 14B", *thresholds, made[0].source


def identity(variant: Variant, size: Size) -> Identity:
    """A model of this variant."""
    kind = "i2v" if "i2v" in variant.name or "flf2v" in variant.name else "t2v"
    return Identity(size, kind, 0, 0, (variant,))


def magcache_plan(variant: Variant, size: Size, preset: TunedPreset) -> str:
    """'E, K, R: so many of so many' on the schedule of the curve."""
    method = MagCacheChoice(preset, 0, 0, 0).resolve(identity(variant, size))
    policy = method.policy
    sigmas = policy.curve.sigmas
    guards = guards_of(Options(), method.guards, len(sigmas), lambda percent: 1 - percent)
    rows = policy.timetable(Outlook(sigmas, None)).rows
    plan = foresee(policy, guards, sigmas, rows[0])
    numbers = f"{policy.threshold:g}, {policy.most_skips}, {method.guards.warmup_ratio:g}"
    return f"{numbers}: {plan.count('C')} of {len(plan)}"


if __name__ == "__main__":
    main()
