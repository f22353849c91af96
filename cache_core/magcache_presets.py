"""MagCache's curves and numbers by model and preset, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from .calibration import Calibration
from .config import GuardDefaults, Method
from .errors import StepCacheError, require_one_of
from .identity import Identity
from .magcache import Curve, MagCache
from .published import published
from .teacache_presets import TINY, borrowed_source, by_hand, nearest_of
from .timetable import native_sigmas
from .vocabulary import PresetName

GENERAL = {"quality": (0.06, 2, 0.2), "balanced": (0.06, 3, 0.2), "fast": (0.12, 4, 0.2)}
"""E, K and R for a calibration of the user's own on a model nobody published any for."""

SAME_CURVE = {"wan2.2_ti2v_5B": "wan2.2_ti2v_5B_t2v"}
"""Curves whose name is longer than the model's: 5B was calibrated with and without an image."""


@dataclass(frozen=True)
class Numbers:
    """A curve and the (E, K, R) of the presets that go with it.

    borrowed: the model they were published for, None if it is this.
    """

    curve: Curve
    presets: dict[str, tuple[float, int, float]]
    source: str
    notes: tuple[str, ...] = ()
    borrowed: str | None = None


@dataclass(frozen=True)
class MagCacheChoice:
    """What the user of Apply MagCache chose; the model and its run make numbers of it.

    curve: name of a published curve, ``auto`` for that of the recognised model. calibration: the
    user's own file, which comes before both.
    """

    preset: PresetName
    threshold: float
    most_skips: int
    retention_ratio: float
    curve: str = "auto"
    calibration: Calibration | None = None
    node_id: str | None = None
    name: str = "MagCache"

    def __post_init__(self) -> None:
        require_one_of("preset", self.preset, get_args(PresetName))

    def resolve(self, identity: Identity, steps: int | None = None) -> Method:
        """The policy and guards for this model; StepCacheError when it has no curve."""
        numbers = self._numbers(identity)
        chosen = (self.threshold, self.most_skips, self.retention_ratio)
        tuned = self.preset != "custom"
        error, skips, retention = numbers.presets[self.preset] if tuned else chosen
        return Method(
            MagCache(error, skips, numbers.curve),
            GuardDefaults(retention, 1, None, warmup_steps=1, share_of="expert"),
            self.preset,
            numbers.source if tuned else by_hand(numbers.borrowed),
            self.node_id,
            numbers.notes,
        )

    def _numbers(self, identity: Identity) -> Numbers:
        if self.calibration is not None:
            return calibrated(self.calibration, identity)
        if self.curve != "auto":
            return published_numbers(self.curve, identity.variant.expert)
        name, borrowed = published_curve(identity)
        return published_numbers(name, identity.variant.expert, borrowed)


def calibrated(calibration: Calibration, identity: Identity) -> Numbers:
    """The user's own curve, with the numbers published for the model, if there are any."""
    section = calibration.section_for(identity, "calibration")
    notes = calibration.notes(section, identity)
    curve = Curve(section.sigmas, section.ratios, True)
    entry = published("magcache").get(_curve_of(identity))
    if entry is None:
        return Numbers(curve, GENERAL, TINY, notes)
    return Numbers(curve, _presets(entry, identity.variant.expert), _source(entry), notes)


def published_curve(identity: Identity) -> tuple[str, bool]:
    """The published curve of a model, else that of the one most alike, and True for the latter."""
    own = _curve_of(identity)
    if own in published("magcache"):
        return own, False
    nearest = nearest_of(identity)
    if nearest is None:
        raise StepCacheError(
            f"`calibration` is 'auto', but no MagCache curve is published for {identity.label}. "
            "Put MagCache Calibrate in front of the sampler, run it once, then choose its file in "
            "`calibration`."
        )
    return SAME_CURVE.get(nearest, nearest), True


def published_numbers(name: str, expert: str | None, borrowed: bool = False) -> Numbers:
    """A published curve, of a pair the expert's own part of it."""
    entry = published("magcache")[name]
    part = _part(entry, expert)
    sigmas = native_sigmas(entry["steps"], entry["shift"])
    curve = Curve(sigmas[part], tuple(tuple(entry[branch][part]) for branch in ("cond", "uncond")))
    grid = f"curve of {name}, calibrated at {entry['steps']} steps and assumed shift"
    source = borrowed_source(name) if borrowed else _source(entry)
    notes, other = (f"{grid} {entry['shift']:g}",), name if borrowed else None
    return Numbers(curve, _presets(entry, expert), source, notes, other)


def _curve_of(identity: Identity) -> str:
    family = identity.variant.family
    return SAME_CURVE.get(family, family)


def _presets(entry: dict[str, Any], expert: str | None) -> dict[str, tuple[float, int, float]]:
    return {**entry["presets"], **entry.get(f"presets_{expert}", {})}


def _source(entry: dict[str, Any]) -> str:
    return str(entry["presets"]["source"])


def _part(entry: dict[str, Any], expert: str | None) -> slice:
    high = entry.get("high_noise_steps")
    if high is None or expert is None:
        return slice(None)
    return slice(0, high) if expert == "high" else slice(high, None)
