"""docs/peers.md, made of the results alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from devtools.markdown import table

from .peer_texts import BEHAVIOUR, COST, EQUAL, INTRODUCTION, LIMITS, LOADED, REPRODUCE
from .statistics import at_cost, mean, median

Json = dict[str, Any]
NOTHING = "-"
SHARES = (0.6, 0.5, 0.4)
CHECKS = ("second_run", "bypass", "apart", "vace_never", "vace_reusing")


def text(found: Json) -> str:
    """The whole page."""
    packs = found["packs"]
    parts = [INTRODUCTION.format(**facts(found))]
    parts += [LOADED, loading(found)]
    parts += [BEHAVIOUR, table(("pack", "node", *BEHAVIOURS), behaviours(packs))]
    parts += [EQUAL, equal(packs), COST, table(COSTS, costs(packs))]
    return "\n".join([*parts, REPRODUCE, LIMITS])


BEHAVIOURS = (
    "same again", "gone when bypassed", "branches apart", "VACE, nothing reused", "VACE, reusing",
)  # fmt: skip
COSTS = ("pack", "node", "settings", "computed", "time", "CPU", "PSNR mean", "worst", "SSIM", "MiB")


def facts(found: Json) -> Json:
    """What the introduction names."""
    settings = found["settings"]
    counts = {"prompts": len(settings["prompts"]), "steps": settings["steps"]}
    named = {name: settings[name] for name in ("sampler", "cfg", "scheduler", "shift")}
    commit = found["commit"] or "unknown"
    return {**found["versions"], **found["machine"], **named, **counts, "commit": commit,
            "date": found["date"]}  # fmt: skip


def loading(found: Json) -> str:
    """A line for each pack: what every ComfyUI said when it loaded it."""
    elsewhere = found.get("elsewhere", {})
    head = ("pack", "version", f"loads on {found['versions']['comfyui']}", *elsewhere)
    others = [told["loads"] for told in elsewhere.values()]
    return table(head, ((*loaded(pack), *also(pack, others)) for pack in found["packs"]))


def loaded(pack: Json) -> tuple[str, str, str]:
    """A pack, and what the host that it was measured on said of it."""
    version = " ".join(word for word in (pack["version"], pack["commit"]) if word)
    return pack["pack"], version or NOTHING, verdict(pack["error"])


def also(pack: Json, others: Iterable[Json]) -> Iterator[str]:
    """What other hosts said of it: no more than that it does not load where they say the same."""
    for loads in others:
        if pack["pack"] not in loads:
            yield NOTHING
            continue
        error = loads[pack["pack"]]
        yield "no, as there" if error and error == pack["error"] else verdict(error)


def verdict(error: str | None) -> str:
    """Whether a pack loads."""
    return f"no: {cell(error)}" if error else "yes"


def each(packs: Iterable[Json]) -> Iterator[tuple[str, Json]]:
    """Every method with the name of its pack."""
    for pack in packs:
        for method in pack["methods"]:
            yield pack["pack"], method


def behaviours(packs: Iterable[Json]) -> Iterator[Sequence[str]]:
    """A line for each method."""
    for name, method in each(packs):
        yield name, method["method"], *(cell(method["checks"][check]) for check in CHECKS)


def equal(packs: Sequence[Json]) -> str:
    """Every method at the same shares, best at the middle one first."""
    lines = [(name, m["method"], *at_shares(m)) for name, m in each(packs)]
    ranked = sorted(lines, key=lambda line: -strength(line[2:]))
    head = ("pack", "node", *(f"at {share:g}" for share in SHARES))
    return table(head, ranked)


def strength(cells: Sequence[str]) -> float:
    """What a line is ordered by: the middle share, or what there is."""
    first = [cells[len(cells) // 2], *cells]
    return next((float(value) for value in first if value != NOTHING), 0.0)


def at_shares(method: Json) -> list[str]:
    """PSNR between the two settings around a share; nothing is extrapolated."""
    rows = [row for row in method["rows"] if "error" not in row]
    curve = [(row["computed_share"], row["psnr"]["prompts"]) for row in rows]
    found = [at_cost(curve, share) for share in SHARES]
    return [f"{mean(values):.1f}" if values else NOTHING for values in found]


def costs(packs: Sequence[Json]) -> Iterator[Sequence[str]]:
    """A line for the uncached run, and one for every setting."""
    yield uncached(packs)
    for name, method in each(packs):
        for row in method["rows"]:
            start = (name, method["method"], cell(setting(row["settings"])))
            yield (*start, *(failed(row) if "error" in row else numbers(row)))


def uncached(packs: Sequence[Json]) -> Sequence[str]:
    """The run that the others are measured against."""
    told = [pack["uncached"] for pack in packs if "uncached" in pack]
    seconds = f"1 ({median([one['seconds'] for one in told]):.2f} s)" if told else "1"
    cpu = f"1 ({median([one['cpu_seconds'] for one in told]):.2f} s)" if told else "1"
    return ("ComfyUI", "uncached", NOTHING, "1.00", seconds, cpu, *[NOTHING] * 4)


def failed(row: Json) -> list[str]:
    """An error fills the line."""
    return [f"error: {cell(row['error'])}", *[NOTHING] * (len(COSTS) - 4)]


def numbers(row: Json) -> list[str]:
    """What was measured."""
    memory = row["extra_peak_rss_mib"]
    spoilt = "" if row["uncached_unchanged"] else " (spoils uncached renders)"
    return [
        f"{row['computed_share']:.2f}{spoilt}",
        f"{row['time_ratio']:.2f}",
        f"{row['cpu_ratio']:.2f}",
        f"{row['psnr']['mean']:.1f}",
        f"{row['psnr']['worst']:.1f}",
        f"{row['ssim']['mean']:.4f}",
        NOTHING if memory is None else f"{memory:+.0f}",
    ]


def setting(inputs: Json) -> str:
    """Inputs of a node in words."""
    return ", ".join(f"{name} {value}" for name, value in inputs.items()) or "defaults"


def cell(words: str) -> str:
    """Words that cannot end a cell."""
    return words.replace("|", "/")


def told(method: Json) -> str:
    """A method in a line of progress."""
    rows = (row.get("error") or f"{row['computed_share']:.2f}: {row['psnr']['mean']:.1f} dB"
            for row in method["rows"])  # fmt: skip
    checks = (f"{name} {said}" for name, said in method["checks"].items())
    return f"  {method['method']}: {'; '.join((*rows, *checks))}"
