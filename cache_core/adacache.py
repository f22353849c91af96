"""AdaCache: how much a block in the middle changed says how many steps may be reused next.

The rule of AdaCache-DiT/AdaCache in the form that LightX2V gave it for Wan (one probed block, the
whole stack reused): at every computed step d = |f - c|_1 / |c|_1 / interval, f being what the
probed block adds to its input, c the same at the computed step before, interval the steps between
the two; a codebook maps d to the next interval.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite

from torch import Tensor

from .decision import Reason
from .errors import StepCacheError, require
from .memory import Sizes
from .motion import motion_of, regularised
from .policy import Look, Seen, Verdict

Codebook = tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class AdaState:
    """interval: steps from the last computed step to the next. elapsed: steps since.

    features, motion: of the last computed step. change: scalars on the device that decide the next
    interval, read only when a step is about to be decided.
    """

    interval: int = 1
    elapsed: int = 0
    features: Tensor | None = None
    motion: Tensor | None = None
    change: Tensor | None = None


def parse_codebook(text: str) -> Codebook:
    """'0.03:12, 0.05:10, 1:3' as ascending (distance, interval); StepCacheError says what is wrong.

    The interval of the first distance above the measured one counts, that of the last one beyond.
    """
    pairs = [part.split(":") for part in text.replace("\n", ",").split(",") if part.strip()]
    try:
        found = tuple((float(distance), int(interval)) for distance, interval in pairs)
    except ValueError:  # not two numbers
        found = ()
    ascending = all(before[0] < after[0] for before, after in pairwise(found))
    sensible = all(isfinite(d) and d > 0 and interval >= 1 for d, interval in found)
    if not found or not ascending or not sensible:
        raise StepCacheError(
            f"`codebook` is {text!r}, but must be pairs distance:interval with ascending distances "
            "above 0 and intervals of 1 or more, such as '0.03:12, 0.05:10, 1:3'."
        )
    return found


def scaled(codebook: Codebook, made_for: int, steps: int) -> Codebook:
    """A codebook for another step count.

    A step of a shorter schedule goes further: the distance per step grows as the number of steps
    falls, and an interval that covers the same part of the schedule shrinks, to 1 at least.
    """
    ratio = steps / made_for
    return tuple((d / ratio, max(round(interval * ratio), 1)) for d, interval in codebook)


@dataclass(frozen=True)
class AdaCache:
    """AdaCache's numbers.

    codebook: ascending (distance, interval). probe_block: its index, -1 for the middle one.
    motion: MoReg multiplies distances. downsample: every n-th token is compared.
    """

    codebook: Codebook
    probe_block: int = -1
    motion: bool = False
    downsample: int = 8
    name: str = "AdaCache"
    looks_at: Look = "past"

    def __post_init__(self) -> None:
        block = self.probe_block
        require(block >= -1, "probe_block", block, "the index of a block, or -1 for the middle one")

    def describe(self) -> str:
        """The numbers in force."""
        book = ", ".join(f"{distance:.3g}:{interval}" for distance, interval in self.codebook)
        where = "the middle block" if self.probe_block == -1 else f"block {self.probe_block}"
        return f"intervals by {where}: {book}{', motion' if self.motion else ''}"

    def block(self, layers: int) -> int:
        """The probed block."""
        if self.probe_block == -1:
            return layers // 2
        return min(self.probe_block, layers - 1)

    def start(self) -> AdaState:
        """Nothing is known: the next step is computed."""
        return AdaState()

    def features(self, before: Tensor, after: Tensor) -> Tensor:
        """Strided tokens of what the block adds: [rows, tokens / downsample, dim], a copy.

        All of them for motion, which compares the same places of neighbouring frames.
        """
        return after[:, :: self._stride] - before[:, :: self._stride]

    def state_bytes(self, sizes: Sizes) -> int:
        """The features of one evaluation."""
        return sizes.features(self._stride)

    @property
    def _stride(self) -> int:
        return 1 if self.motion else self.downsample

    def distance(self, state: AdaState, seen: Seen) -> Tensor | float | None:
        """The measured change if it has not been read yet, else 0, which costs nothing."""
        if state.features is None:
            return None
        return 0.0 if state.change is None else state.change

    def judge(self, state: AdaState, distance: float) -> tuple[Verdict, AdaState]:
        """Reuse until the interval is over."""
        interval = state.interval
        if state.change is not None:
            interval = self.interval_for(distance)
        after = replace(state, interval=interval, elapsed=state.elapsed + 1, change=None)
        return Verdict(after.elapsed < interval, float(interval), Reason.INTERVAL), after

    def interval_for(self, distance: float) -> int:
        """What the codebook says."""
        found = (interval for limit, interval in self.codebook if distance < limit)
        return next(found, self.codebook[-1][1])

    def skipped(self, state: AdaState, seen: Seen) -> AdaState:
        """Nothing is learnt from a reused step."""
        return state

    def computed(self, state: AdaState, seen: Seen) -> AdaState:
        """The change since the computed step before decides the next interval."""
        now = seen.features
        if now is None:
            return AdaState()
        motion = motion_of(now, seen.latent) if self.motion else None
        if state.features is None or state.features.shape != now.shape:
            return AdaState(features=now, motion=motion)
        interval = max(state.elapsed, 1)
        change = relative_change(now, state.features) / interval
        if motion is not None and state.motion is not None:
            change = change * regularised(motion, state.motion, interval)
        return AdaState(interval=1, features=now, motion=motion, change=change)


def relative_change(now: Tensor, before: Tensor) -> Tensor:
    """|now - before|_1 / |before|_1, a scalar in fp32."""
    reference = before.float()
    return (now.float() - reference).abs().mean() / reference.abs().mean()
