"""TeaCache's numbers by model and preset, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from .calibration import Calibration
from .config import GuardDefaults, Method
from .errors import require_one_of
from .identity import Identity
from .published import published
from .teacache import Fit, TeaCache
from .timetable import native_sigmas
from .vocabulary import PresetName, Signal

RET_GUARDS = GuardDefaults(0.0, 0, None, warmup_steps=5)
PLAIN_GUARDS = GuardDefaults(0.0, 1, None, warmup_steps=1)
"""As published, with and without ``use_ret_steps``."""

TINY = "ours, measured on the tiny test model only"
CALIBRATED = {"quality": 0.04, "balanced": 0.06, "fast": 0.1}
"""For a fit of the user's own."""

RAW = {"quality": 0.01, "balanced": 0.015, "fast": 0.02}
RAW_SOURCE = "a tenth of usual thresholds, untested on this model"
"""Without a fit, on a published Wan: the rule of thumb of WanVideoWrapper."""

RAW_OTHER: dict[Signal, dict[str, float]] = {
    "e": {"quality": 0.1, "balanced": 0.15, "fast": 0.3},
    "e0": {"quality": 0.03, "balanced": 0.05, "fast": 0.1},
}
"""Without a fit, on any other model."""


@dataclass(frozen=True)
class Numbers:
    """A polynomial and the thresholds that go with it.

    signal: the one they are for. borrowed: the model they were published for, None if it is this.
    """

    signal: Signal
    fit: Fit | None
    presets: dict[str, float]
    source: str
    notes: tuple[str, ...] = ()
    borrowed: str | None = None


@dataclass(frozen=True)
class TeaCacheChoice:
    """What the user of Apply TeaCache chose; the model and its run make numbers of it.

    fitted: False leaves the polynomial out. calibration: the file whose polynomial is used, None
    for the published one.
    """

    preset: PresetName
    threshold: float
    use_ret_steps: bool = True
    fitted: bool = True
    calibration: Calibration | None = None
    node_id: str | None = None
    name: str = "TeaCache"

    def __post_init__(self) -> None:
        require_one_of("preset", self.preset, get_args(PresetName))

    def resolve(self, identity: Identity, steps: int | None = None) -> Method:
        """The policy and guards for this model; StepCacheError if the file is another model's."""
        numbers = self._numbers(identity)
        tuned = self.preset != "custom"
        return Method(
            TeaCache(
                numbers.presets[self.preset] if tuned else self.threshold,
                numbers.signal,
                numbers.fit,
            ),
            RET_GUARDS if self.use_ret_steps else PLAIN_GUARDS,
            self.preset,
            numbers.source if tuned else by_hand(numbers.borrowed),
            self.node_id,
            numbers.notes,
        )

    def _numbers(self, identity: Identity) -> Numbers:
        signal: Signal = "e0" if self.use_ret_steps else "e"
        if self.calibration is not None:
            return calibrated(self.calibration, identity, signal)
        found = published_for(identity) if self.fitted else None
        if found is None:
            return _raw(identity, signal)
        return _fitted(*found, signal)


def _fitted(variant: str, borrowed: bool, signal: Signal) -> Numbers:
    entry = published("teacache")[variant]
    notes = [] if signal in entry else [f"no polynomial for {signal} is published: e instead"]
    signal = signal if signal in entry else "e"
    coefficients = tuple(entry[signal]["coefficients"])
    fit = Fit(coefficients, native_sigmas(entry["steps"], entry["shift"]))
    presets = entry[signal]["presets"]
    source = borrowed_source(variant) if borrowed else presets["source"]
    return Numbers(signal, fit, presets, source, tuple(notes), variant if borrowed else None)


def by_hand(borrowed: str | None) -> str:
    """What to say of numbers on the node, and of the constants they are used with."""
    return "set by hand" + (f", constants {borrowed_source(borrowed)}" if borrowed else "")


def borrowed_source(variant: str) -> str:
    """What to say of numbers that were published for another model."""
    return f"borrowed from {variant}, none are published for this model"


def _raw(identity: Identity, signal: Signal) -> Numbers:
    if identity.size == "other":
        return Numbers(signal, None, RAW_OTHER[signal], TINY)
    return Numbers(signal, None, RAW, RAW_SOURCE)


def calibrated(calibration: Calibration, identity: Identity, signal: Signal) -> Numbers:
    """The polynomial of the user's own calibration."""
    section = calibration.section_for(identity, "coefficients")
    fit = section.fit(signal)
    squared = f"R squared of its polynomial {fit.r_squared:.2f}"
    notes = (*calibration.notes(section, identity), squared)
    return Numbers(signal, Fit(fit.coefficients, section.sigmas), CALIBRATED, TINY, notes)


def published_for(identity: Identity) -> tuple[str, bool] | None:
    """The entry to use for a model, and True if it is another model's; None when none fits."""
    table: dict[str, Any] = published("teacache")
    if identity.variant.family in table:
        return identity.variant.family, False
    nearest = nearest_of(identity)
    return (nearest, True) if nearest else None


def nearest_of(identity: Identity) -> str | None:
    """The published model that is built most alike: same size, same kind of input."""
    if identity.size == "1.3B":
        return "wan2.1_t2v_1.3B"
    if identity.size == "5B":
        return "wan2.2_ti2v_5B"
    if identity.size == "14B":
        text_only = identity.kind in ("t2v", "vace") and "i2v" not in identity.variant.name
        return "wan2.1_t2v_14B" if text_only else "wan2.1_i2v_720p_14B"
    return None
