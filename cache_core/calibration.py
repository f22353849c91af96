"""What a calibration says of one model: ratios, sigmas and a polynomial for each of its experts."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import StepCacheError
from .fitting import PolynomialFit
from .identity import Identity
from .vocabulary import Signal

BRANCHES = ("cond", "uncond")
SINGLE = "single"
"""The section of a model that does the whole schedule; a pair has ``high`` and ``low``."""


@dataclass(frozen=True)
class Section:
    """One expert's calibration.

    sigmas: noise level of every calibrated step, falling. ratios: for each branch (cond first) the
    magnitude ratio of every step to the one before, 1 for the first. e, e0: TeaCache's polynomials,
    None where the calibration had too few steps. variant: the Wan it was measured on.
    """

    name: str
    variant: str
    sigmas: tuple[float, ...]
    ratios: tuple[tuple[float, ...], ...]
    e: PolynomialFit | None = None
    e0: PolynomialFit | None = None

    def fit(self, signal: Signal) -> PolynomialFit:
        """The polynomial for a signal; StepCacheError if the calibration was too short for one."""
        found = self.e0 if signal == "e0" else self.e
        if found is None:
            raise StepCacheError(
                f"`coefficients`: the calibration has no polynomial, since it had only "
                f"{len(self.sigmas)} steps. Calibrate with 20 steps or more, or choose 'none'."
            )
        return found


@dataclass(frozen=True)
class Calibration:
    """A calibration file: the architecture it was measured on, and its sections."""

    file: str
    kind: str
    dim: int
    layers: int
    sections: tuple[Section, ...]

    def section_for(self, identity: Identity, slot: str) -> Section:
        """The section of this model; StepCacheError if the file is another architecture's.

        slot: the input of the node in which the file was chosen.
        """
        here = (identity.kind, identity.dim, identity.layers)
        if here != (self.kind, self.dim, self.layers):
            raise StepCacheError(
                f"`{slot}` is {self.file!r}, which was calibrated on a Wan {self.kind.upper()} "
                f"with dim {self.dim} and {self.layers} layers, but the model is {identity.label} "
                f"(dim {identity.dim}, {identity.layers} layers). Choose the file of this model, "
                "or calibrate it."
            )
        wanted = identity.variant.expert or SINGLE
        named = {section.name: section for section in self.sections}
        return named.get(wanted) or named.get(SINGLE) or self.sections[0]

    def notes(self, section: Section, identity: Identity) -> tuple[str, ...]:
        """What a user should know about using a section of this file for this model."""
        notes = [f"calibration {self.file}, section {section.name}"]
        if section.variant != identity.variant.name:
            notes.append(f"calibrated on {section.variant}, taken for {identity.variant.name}")
        return tuple(notes)
