"""EasyCache: the input's change, times how strongly the output last answered, adds up to little.

The rule of H-EmbodVis/EasyCache (EasyCache4Wan2.1/easycache_generate.py), on the latent z and the
velocity v: the change of z from step to step, times the gain k = mean|v - v'| / mean|z - z'|
between the last two computed steps, over mean|v| of the last, is added up since it. Unlike the
host's own node, changes are those from one step to the next, not those since the last computed
step, whose sum would grow with the square of the steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from .errors import require
from .memory import Sizes
from .policy import Look, Seen, Verdict


@dataclass(frozen=True)
class EasyState:
    """latent: of the last step. computed_latent, output: of the last computed one.

    gain: k over mean|v|, a scalar on the device, None before two steps were computed.
    total: the sum since the last computed step.
    """

    latent: Tensor | None = None
    computed_latent: Tensor | None = None
    output: Tensor | None = None
    gain: Tensor | None = None
    total: float = 0.0


@dataclass(frozen=True)
class EasyCache:
    """EasyCache's number: the predicted relative change of the output below which steps reuse."""

    threshold: float
    name: str = "EasyCache"
    looks_at: Look = "latent"

    def __post_init__(self) -> None:
        require(0 <= self.threshold <= 10, "reuse_threshold", self.threshold, "0 to 10")

    def describe(self) -> str:
        """The numbers in force."""
        return f"predicted change < {self.threshold:g}"

    def start(self) -> EasyState:
        """Nothing was computed yet."""
        return EasyState()

    def state_bytes(self, sizes: Sizes) -> int:
        """The latents of the last step and the last computed one, and the output of that."""
        return 3 * sizes.latent

    def distance(self, state: EasyState, seen: Seen) -> Tensor | float | None:
        """gain * mean|z - z of the last step|, on the device."""
        if state.gain is None or state.latent is None or seen.latent is None:
            return None
        if state.latent.shape != seen.latent.shape:
            return None
        return state.gain * mean_difference(seen.latent, state.latent)

    def judge(self, state: EasyState, distance: float) -> tuple[Verdict, EasyState]:
        """Reuse while the sum stays below the threshold."""
        total = state.total + distance
        return Verdict(total < self.threshold, total), replace(state, total=total)

    def skipped(self, state: EasyState, seen: Seen) -> EasyState:
        """Changes are from step to step."""
        return replace(state, latent=seen.latent)

    def computed(self, state: EasyState, seen: Seen) -> EasyState:
        """The gain is measured between this computed step and the one before."""
        latent, output = seen.latent, seen.output
        if latent is None or output is None:
            return EasyState()
        after = EasyState(latent, latent, output)
        before, answered = state.computed_latent, state.output
        if before is None or answered is None or before.shape != latent.shape:
            return after
        gain = mean_difference(output, answered) / mean_difference(latent, before)
        return replace(after, gain=gain / output.float().abs().mean())


def mean_difference(a: Tensor, b: Tensor) -> Tensor:
    """mean|a - b|, a scalar in fp32."""
    return (a.float() - b.float()).abs().mean()
