"""What the pack may cost, and whether a row of the cost benchmark keeps to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .cost_configurations import GUIDANCE, PROBING

Json = dict[str, Any]
OVERHEAD = {"tiny": 0.03, "tiny-256": 0.03}
OVERHEAD_OF_OTHERS = 0.005
REUSE = {"output": 0.01, "hidden": 0.02}
SPEEDUP = 0.97


@dataclass(frozen=True)
class Verdict:
    """A share of what it is compared with, and its limit: at most, or at least."""

    what: str
    share: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """True when it is within the limit."""
        return self.share >= self.limit if self.at_least else self.share <= self.limit


def overhead(model: Json, row: Json) -> Verdict:
    """The pack's own time in a computed evaluation, over the evaluation without it."""
    share = row["computed_own_ms"]["own_cpu"] / row["plain_ms"]["cpu"]
    return Verdict("overhead", share, OVERHEAD.get(model["name"], OVERHEAD_OF_OTHERS))


def probe_share(model: Json, row: Json) -> float:
    """Of a full evaluation, what a reused one runs since its method looks at block 0."""
    return float(model["probe_ms"] / full_ms(model, row)) if row["method"] in PROBING else 0.0


def reuse(model: Json, row: Json) -> Verdict:
    """A reused evaluation over one of the model with all of its published layers.

    What runs by the method's rule, all that leads to the end of block 0, is counted as computed,
    so it adds to the limit.
    """
    share = row["reused_ms"]["cpu"] / full_ms(model, row)
    return Verdict("reuse", share, REUSE[row["level"]] + probe_share(model, row))


def full_ms(model: Json, row: Json) -> float:
    """Milliseconds of an evaluation, with as many blocks more as the measured model lacks."""
    missing = model["published_layers"] - model["layers"]
    return float(row["plain_ms"]["cpu"] + missing * model["block_ms"])


def rest_share(model: Json, row: Json) -> float:
    """Of a full evaluation, what a reused one takes without the pack's own time."""
    rest = row["reused_ms"]["cpu"] - row["reused_own_ms"]["own_cpu"]
    return float(rest / full_ms(model, row))


def expected_speedup(model: Json, row: Json) -> float:
    """Evaluations over computed ones; what reused ones run by their method's rule counts."""
    reused = row["evaluations"] - row["computed"]
    cost = 0.5 if row["method"] in GUIDANCE else probe_share(model, row)
    return float(row["evaluations"] / (row["computed"] + reused * cost))


def speedup(model: Json, row: Json) -> Verdict:
    """Realised over expected."""
    share = row["realised_speedup"] / expected_speedup(model, row)
    return Verdict("speed-up", share, SPEEDUP, True)


def verdicts(model: Json, row: Json) -> Iterator[Verdict]:
    """All that apply. CFG Cache's reused evaluation computes cond, so it has no limit."""
    yield overhead(model, row)
    if row["method"] not in GUIDANCE:
        yield reuse(model, row)
    if model["layers"] == model["published_layers"]:
        yield speedup(model, row)
