"""What the pack may cost, and whether a row of the cost benchmark keeps to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .cost_configurations import GUIDANCE

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


def block_share(row: Json) -> float:
    """Blocks that a reused evaluation runs since its method looks at them, over all blocks."""
    blocks = row["counts"]["computed"]["blocks"]
    return float(row["counts"]["reused"]["blocks"] / blocks)


def reuse(model: Json, row: Json) -> Verdict:
    """A reused evaluation over one of the model with all of its published layers.

    Blocks that run by the method's rule are counted as computed, so they add to the limit.
    """
    blocks = row["counts"]["reused"]["blocks"] / model["published_layers"]
    return Verdict(
        "reuse", row["reused_ms"]["cpu"] / full_ms(model, row), REUSE[row["level"]] + blocks
    )


def full_ms(model: Json, row: Json) -> float:
    """Milliseconds of an evaluation, with as many blocks more as the measured model lacks."""
    missing = model["published_layers"] - model["layers"]
    return float(row["plain_ms"]["cpu"] + missing * model["block_ms"])


def expected_speedup(row: Json) -> float:
    """Evaluations over computed ones; of reused ones the blocks that their method runs count."""
    reused = row["evaluations"] - row["computed"]
    cost = 0.5 if row["method"] in GUIDANCE else block_share(row)
    return float(row["evaluations"] / (row["computed"] + reused * cost))


def speedup(row: Json) -> Verdict:
    """Realised over expected."""
    return Verdict("speed-up", row["realised_speedup"] / expected_speedup(row), SPEEDUP, True)


def verdicts(model: Json, row: Json) -> Iterator[Verdict]:
    """All that apply. CFG Cache's reused evaluation computes cond, so it has no limit."""
    yield overhead(model, row)
    if row["method"] not in GUIDANCE:
        yield reuse(model, row)
    if model["layers"] == model["published_layers"]:
        yield speedup(row)
