"""First Block Cache: when block 0 changes little, so does the rest of the model.

The rule of ParaAttention's first_block_cache: block 0 always runs; its residual (or output) is
compared with that of the last *computed* evaluation; a relative change below the threshold skips
all other blocks. Since the reference is the last computed evaluation, drift is measured, not
accumulated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

from torch import Tensor

from .errors import require, require_one_of
from .memory import Sizes
from .policy import Look, Seen, Verdict
from .vocabulary import Metric


@dataclass(frozen=True)
class FBCacheState:
    """Features of the last computed evaluation, and the running mean of the metric."""

    reference: Tensor | None = None
    mean: float | None = None


@dataclass(frozen=True)
class FBCache:
    """FBCache's numbers.

    threshold: relative change below which the rest of the stack is skipped; 0 only measures.
    metric: relative change of block 0's residual (mean absolute) or of its output (mean absolute,
    or root mean square).
    downsample: every n-th token is compared; memory and time of the comparison fall with it.
    ema: weight of the past in the exponential running mean of the metric, 0 for none.
    """

    threshold: float
    metric: Metric = "residual_rel_l1"
    downsample: int = 8
    ema: float = 0.0
    name: str = "FBCache"
    looks_at: Look = "block"

    def __post_init__(self) -> None:
        require(0 <= self.threshold <= 1, "residual_diff_threshold", self.threshold, "0 to 1")
        require_one_of("metric", self.metric, get_args(Metric))
        require(self.downsample >= 1, "downsample", self.downsample, "1 (all tokens) or more")
        require(0 <= self.ema < 1, "ema", self.ema, "0 (off) or more and below 1")

    def describe(self) -> str:
        """The numbers in force."""
        smooth = f", ema {self.ema:g}" if self.ema else ""
        tokens = "every token" if self.downsample == 1 else f"1 token in {self.downsample}"
        return f"{self.metric} < {self.threshold:g}, {tokens}{smooth}"

    def start(self) -> FBCacheState:
        """No reference yet."""
        return FBCacheState()

    def features(self, before: Tensor, after: Tensor) -> Tensor:
        """Strided tokens of block 0's residual or output: [rows, tokens / downsample, dim].

        Kept in the model's dtype (bf16 halves the memory; its rounding, 0.2 % of a residual, is
        far below any threshold) and always a copy, since hosts write into block outputs.
        """
        after = after[:, :: self.downsample]
        if self.metric == "residual_rel_l1":
            return after - before[:, :: self.downsample]
        return after.clone()

    def state_bytes(self, sizes: Sizes) -> int:
        """The features of one evaluation."""
        return sizes.features(self.downsample)

    def distance(self, state: FBCacheState, seen: Seen) -> Tensor | None:
        """Relative change against the reference, elementwise, in fp32."""
        reference, features = state.reference, seen.features
        if reference is None or features is None or not _comparable(reference, features):
            return None
        if self.metric == "hidden_rel_l2":
            return relative_l2(features.float(), reference.float())
        return relative_l1(features.float(), reference.float())

    def judge(self, state: FBCacheState, distance: float) -> tuple[Verdict, FBCacheState]:
        """Reuse when the (smoothed) change is below the threshold."""
        past = distance if state.mean is None else state.mean
        mean = self.ema * past + (1 - self.ema) * distance
        return Verdict(mean < self.threshold, mean), replace(state, mean=mean)

    def skipped(self, state: FBCacheState, seen: Seen) -> FBCacheState:
        """The reference stays that of the last computed evaluation."""
        return state

    def computed(self, state: FBCacheState, seen: Seen) -> FBCacheState:
        """The features become the reference; drift from an older one is still drift."""
        return state if seen.features is None else replace(state, reference=seen.features)


def relative_l1(now: Tensor, reference: Tensor) -> Tensor:
    """mean|now - reference| / mean|reference|, a scalar; not finite for a reference of zeros."""
    return (now - reference).abs().mean() / reference.abs().mean()


def relative_l2(now: Tensor, reference: Tensor) -> Tensor:
    """||now - reference||_2 / ||reference||_2, a scalar; not finite for a reference of zeros."""
    return (now - reference).square().mean().sqrt() / reference.square().mean().sqrt()


def _comparable(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.device == b.device
