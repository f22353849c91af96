"""Which Wan a model is, how that is known, and what its run adds to the knowledge."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

from .schedule import Stage
from .variants import PUBLISHED, Variant
from .vocabulary import Size

FULL_NOISE = 0.97
"""A run that starts below this sigma continues another one."""

HIGH_NOISE = 0.5
"""A run that ends above this sigma leaves the rest to another model. Published boundaries between
the experts are 0.875 and 0.9; workflows switch at 0.8 to 0.95."""

PIXELS_480P, PIXELS_720P = 480 * 832, 720 * 1280

NAMES = {
    "generation": {
        "2.1": r"(?<![0-9])2[._]?1(?![0-9])",
        "2.2": r"(?<![0-9])2[._]?2(?![0-9])|a14b",
    },
    "resolution": {"480p": r"(?<![0-9])480(?![0-9])", "720p": r"(?<![0-9])720(?![0-9])"},
    "expert": {
        "high": r"(?<![a-z])(high([-_ ]?noise)?|hn)(?![a-z])",
        "low": r"(?<![a-z])(low([-_ ]?noise)?|ln)(?![a-z])",
    },
}
"""How file names spell what shapes cannot tell."""

REMEDY = ": its file's name can tell, or model_variant or calibration where a node has it"


@dataclass(frozen=True)
class RunFacts:
    """What a sampling tells about its model and its own kind; None where it does not say.

    first_sigma, last_sigma: where the run starts and ends. steps: of the whole schedule that the
    run is a part of. height, width: of the frames, in pixels. cfg: the guidance scale. counted:
    the sampler is known to evaluate the model once a step. stages: the evaluations of one that is
    known to make several, empty for others. adaptive: it chooses its steps by comparing what the
    model returns. corrects: it is one whose steps add up the model's velocity, so that what a
    reused step got wrong can be made good later. renoises: it adds fresh noise between steps.
    autoregressive: it makes the video a few frames at a time, from what the model remembers of
    those before. before: steps that earlier samplings made of the part of the schedule that this
    one goes on with, see ``continuing.py``. rival: another cache that is on the model, by name.
    """

    first_sigma: float = 1.0
    last_sigma: float = 0.0
    steps: float | None = None
    height: int | None = None
    width: int | None = None
    cfg: float | None = None
    counted: bool = False
    stages: tuple[Stage, ...] = ()
    adaptive: bool = False
    corrects: bool = False
    renoises: bool = False
    autoregressive: bool = False
    before: int = 0
    rival: str | None = None


@dataclass(frozen=True)
class Identity:
    """A recognised Wan.

    kind: the host's model type: t2v, i2v, vace, camera, s2v, animate, ...
    candidates: the variants it can be, the likeliest first. evidence: how they were narrowed down.
    unlikely: what a guess from the run left out, which may be wrong.
    """

    size: Size
    kind: str
    dim: int
    layers: int
    candidates: tuple[Variant, ...]
    evidence: str = "by its architecture"
    unlikely: tuple[Variant, ...] = ()

    @property
    def variant(self) -> Variant:
        """The variant it is taken for."""
        return self.candidates[0]

    @property
    def expert(self) -> str | None:
        """``high`` or ``low`` where every candidate is that expert, else None."""
        experts = {variant.expert for variant in self.candidates}
        return experts.pop() if len(experts) == 1 else None

    @property
    def label(self) -> str:
        """Its name in log lines and reports, and how sure that is."""
        shape = "" if self.size != "other" else f" (dim {self.dim}, {self.layers} layers)"
        return f"{self.variant.label}{shape}, {self.evidence}{self._doubt}"

    @property
    def _doubt(self) -> str:
        """What else it may be, and how to set that right where the user can."""
        assumed = ", assumed" if any(v.name in PUBLISHED for v in self.candidates[1:]) else ""
        others = [v for v in (*self.candidates[1:], *self.unlikely) if v.name in PUBLISHED]
        if not others:
            return ""
        labels = dict.fromkeys(variant.label for variant in others)
        settled = all(variant.family == self.variant.family for variant in others)
        return f"{assumed}; may be {' or '.join(labels)}{'' if settled else REMEDY}"

    def named(self, file_name: str | None) -> Identity:
        """Narrowed down by what the loader's file is called; None changes nothing."""
        if file_name is None:
            return self
        name = file_name.replace("\\", "/").rsplit("/", 1)[-1]
        found = self
        for field, spellings in NAMES.items():
            said = [v for v, spelling in spellings.items() if re.search(spelling, name.lower())]
            if len(said) == 1:
                found = found._where(field, said[0], f"by its file name {name}")
        return found

    def running(self, facts: RunFacts) -> Identity:
        """Narrowed down by the run, where neither shapes nor file name could tell."""
        expert = _expert(facts)
        found = self._guess("expert", expert, f"guessed from sigmas {_range(facts)}")
        if facts.height and facts.width:
            pixels = facts.height * facts.width
            nearer = "480p" if pixels < sqrt(PIXELS_480P * PIXELS_720P) else "720p"
            size = f"guessed from frames of {facts.width}x{facts.height}"
            found = found._guess("resolution", nearer, size)
        return found

    def overridden(self, model_variant: str) -> Identity:
        """The family the user chose; ``auto`` changes nothing."""
        if model_variant == "auto":
            return self
        chosen = tuple(v for v in PUBLISHED.values() if v.family == model_variant)
        return replace(self, candidates=chosen, evidence="as model_variant says")

    def placed(self, expert: str) -> Identity:
        """Known by the node's input to be the ``high`` or ``low`` noise model of a pair."""
        return self._where("expert", expert, f"{expert} noise by its place on the node")

    def _guess(self, field: str, value: str | None, evidence: str) -> Identity:
        found = self._where(field, value, evidence)
        dropped = tuple(v for v in self.candidates if v not in found.candidates)
        return replace(found, unlikely=(*self.unlikely, *dropped))

    def _where(self, field: str, value: str | None, evidence: str) -> Identity:
        kept = tuple(v for v in self.candidates if getattr(v, field) == value)
        if not kept or len(kept) == len(self.candidates):
            return self
        told = kept[0] != self.variant or kept[0].name in PUBLISHED
        return replace(self, candidates=kept, evidence=evidence if told else self.evidence)


def _range(facts: RunFacts) -> str:
    return f"{facts.first_sigma:.3f} to {facts.last_sigma:.3f}"


def _expert(facts: RunFacts) -> str | None:
    if facts.last_sigma > HIGH_NOISE:
        return "high"
    return "low" if facts.first_sigma < FULL_NOISE else None


def percent_of(sigma: float, percent_to_sigma: Callable[[float], float]) -> float:
    """The percent (0 to 1) of the schedule at which it reaches ``sigma``: the host's map inverted.

    By bisection, so that it holds for every noise schedule whose sigma falls with the percent.
    """
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if percent_to_sigma(middle) > sigma:
            low = middle
        else:
            high = middle
    return (low + high) / 2
