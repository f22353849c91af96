"""MagCache's curves and numbers by model and preset, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .calibration import Calibration
from .config import GuardDefaults, Method
from .errors import StepCacheError
from .identity import Identity
from .magcache import Curve, MagCache
from .published import published
from .teacache_presets import nearest_of
from .timetable import native_sigmas
from .vocabulary import PresetName

GENERAL = {"quality": (0.06, 2, 0.2), "balanced": (0.12, 4, 0.2), "fast": (0.24, 6, 0.2)}
"""E, K and R for a calibration of the user's own: those published for the models of 2.1."""

SAME_CURVE = {"wan2.2_ti2v_5B": "wan2.2_ti2v_5B_t2v"}
"""Curves whose name is longer than the model's: 5B was calibrated with and without an image."""


@dataclass(frozen=True)
class Numbers:
    """A curve and the (E, K, R) of the presets that go with it."""

    curve: Curve
    presets: dict[str, tuple[float, int, float]]
    source: str
    notes: tuple[str, ...] = ()


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

    def resolve(self, identity: Identity) -> Method:
        """The policy and guards for this model; StepCacheError when it has no curve."""
        numbers = self._numbers(identity)
        by_hand = (self.threshold, self.most_skips, self.retention_ratio)
        tuned = self.preset != "custom"
        error, skips, retention = numbers.presets[self.preset] if tuned else by_hand
        return Method(
            MagCache(error, skips, numbers.curve),
            GuardDefaults(retention, 1, None, warmup_steps=1),
            self.preset,
            numbers.source if tuned else "set by hand",
            self.node_id,
            numbers.notes,
        )

    def _numbers(self, identity: Identity) -> Numbers:
        if self.calibration is not None:
            section = self.calibration.section_for(identity)
            source = "numbers published for Wan 2.1, untested on this model"
            notes = self.calibration.notes(identity)
            return Numbers(Curve(section.sigmas, section.ratios), GENERAL, source, notes)
        if self.curve != "auto":
            return published_numbers(self.curve, identity.variant.expert)
        name, notes = published_curve(identity)
        return published_numbers(name, identity.variant.expert, notes)


def published_curve(identity: Identity) -> tuple[str, tuple[str, ...]]:
    """The published curve of a model, else that of the one most alike, which is noted."""
    own = identity.variant.family
    own = SAME_CURVE.get(own, own)
    if own in published("magcache"):
        return own, ()
    nearest = nearest_of(identity)
    if nearest is None:
        raise StepCacheError(
            f"`calibration` is 'auto', but no MagCache curve is published for {identity.label}. "
            "Put MagCache Calibrate in front of the sampler, run it once, then choose its file in "
            "`calibration`."
        )
    nearest = SAME_CURVE.get(nearest, nearest)
    return nearest, (f"borrowed the curve of {nearest}: none is published for this model",)


def published_numbers(name: str, expert: str | None, notes: tuple[str, ...] = ()) -> Numbers:
    """A published curve, of a pair the expert's own part of it."""
    entry = published("magcache")[name]
    part = _part(entry, expert)
    sigmas = native_sigmas(entry["steps"], entry["shift"])
    curve = Curve(sigmas[part], tuple(tuple(entry[branch][part]) for branch in ("cond", "uncond")))
    presets = {**entry["presets"], **entry.get(f"presets_{expert}", {})}
    grid = f"curve of {name}, calibrated at {entry['steps']} steps and assumed shift"
    return Numbers(curve, presets, presets["source"], (*notes, f"{grid} {entry['shift']:g}"))


def _part(entry: dict[str, Any], expert: str | None) -> slice:
    high = entry.get("high_noise_steps")
    if high is None or expert is None:
        return slice(None)
    return slice(0, high) if expert == "high" else slice(high, None)
