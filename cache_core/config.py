"""What a user asked for: frozen, validated once, cheap to copy, free of tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Literal, Protocol, get_args

from .chain import in_precedence
from .contradictions import refuse_contradictions
from .errors import require, require_one_of
from .forecast import Forecast
from .identity import FULL_NOISE, Identity, RunFacts
from .policy import Rule
from .vocabulary import (
    CacheDevice,
    CacheDtype,
    CacheLevel,
    CfgMode,
    Correction,
    ForecastName,
    OnFewSteps,
    TimeAxis,
)

WORDS = {
    "cfg_mode": CfgMode,
    "cache_level": CacheLevel,
    "on_few_steps": OnFewSteps,
    "forecast": ForecastName,
    "correction": Correction,
    "cache_device": CacheDevice,
    "cache_dtype": CacheDtype,
}
"""Options that are one of a few words."""

MOST_STEPS = 1000
"""The most that a guard may count."""

LATE_WARMUP = 2
"""Steps that an expert computes first where another has decided motion and layout."""


@dataclass(frozen=True)
class GuardDefaults:
    """What a preset puts in place of the guards that the options leave open.

    warmup_ratio: share of the steps always computed at the start, and warmup_steps: at least so
    many. last_steps: steps always computed at the end. max_consecutive_skips: reuses in a row, None
    for no limit. share_of: what the share is one of where two experts sample a schedule together.
    """

    warmup_ratio: float = 0.1
    last_steps: int = 1
    max_consecutive_skips: int | None = 3
    warmup_steps: int = 0
    share_of: Literal["schedule", "expert"] = "schedule"

    def warmup(self, steps: int) -> int:
        """The steps always computed at the start of a run of ``steps``.

        The share is cut to whole model calls, two a step, as in MagCache's int(2 * steps * R).
        """
        return max(self.warmup_steps, ceil(int(2 * steps * self.warmup_ratio) / 2))

    def of_expert(self, expert: str, whole: int) -> GuardDefaults:
        """The same for one of two experts that sample a schedule of ``whole`` steps together.

        Its first steps decide motion and layout, so the warm-up of the ``high`` noise expert is a
        share of them all; the ``low`` noise one computes as many as a forecast needs.
        """
        if not self.warmup_ratio or self.share_of == "expert":
            return self
        steps = LATE_WARMUP if expert == "low" else self.warmup(whole)
        return replace(self, warmup_ratio=0.0, warmup_steps=steps)


@dataclass(frozen=True)
class Options:
    """Options shared by all methods; None leaves a guard to the method's preset.

    start_percent, end_percent: part of the whole schedule in which reuse is allowed, 0 to 1.
    warmup_steps: steps that are always computed when an expert starts its part of the schedule.
    last_steps: steps of each sampler run that are always computed at its end.
    max_consecutive_skips: reuses in a row; 0 never reuses.
    alternating: never two reused steps in a row. step_mask: text that says of every step of the
    whole schedule whether it is computed, see ``masks.parse_mask``; empty for none.
    cfg_mode: ``cond`` decides for every branch; or each branch decides, for itself (``separate``)
    or so that one that computes makes the others compute (``all``).
    cache_level: what is kept, ``output`` (the velocity, latent-sized) or ``hidden`` (the residual
    of the block stack); ``auto`` is ``output``.
    cache_device, cache_dtype: where values are kept and as what, see ``Keeping``; ``auto`` is the
    model's own dtype, on its device unless that is short of memory.
    on_few_steps: below ten steps, where there is little to gain and much to lose, compute
    everything (``off``), or reuse as ever, with a warning (``warn``) or without (``allow``).
    forecast: what a reused value is. ``hold``: the last one, as published; ``taylor``: extrapolated
    with ``max_order`` in ``time_axis``; ``auto``: what does best for the method, with ``max_order``
    and ``time_axis`` in place of its own if given (samplers that add noise hold the denoised
    latent whatever these say). correction: make good what reused steps got
    wrong; ``auto`` does with forecast ``auto``, on samplers where it can.
    verbose: one log line per evaluation.
    """

    start_percent: float = 0.0
    end_percent: float = 1.0
    warmup_steps: int | None = None
    last_steps: int | None = None
    max_consecutive_skips: int | None = None
    alternating: bool = False
    step_mask: str = ""
    cfg_mode: CfgMode = "cond"
    cache_level: CacheLevel = "auto"
    cache_device: CacheDevice = "auto"
    cache_dtype: CacheDtype = "auto"
    on_few_steps: OnFewSteps = "off"
    forecast: ForecastName = "auto"
    max_order: int | None = None
    time_axis: TimeAxis | None = None
    correction: Correction = "auto"
    verbose: bool = False

    def __post_init__(self) -> None:
        for name in ("start_percent", "end_percent"):
            value = getattr(self, name)
            require(0 <= value <= 1, name, value, "between 0 and 1 (0.5 is half of the schedule)")
        for name in ("warmup_steps", "last_steps", "max_consecutive_skips"):
            value = getattr(self, name)
            remedy = f"0 to {MOST_STEPS}, or left to the preset (-1)"
            require(value is None or 0 <= value <= MOST_STEPS, name, value, remedy)
        order = self.max_order
        require(
            order is None or 0 <= order <= 3, "max_order", order, "0 to 3, or left to the method"
        )
        for name, literal in WORDS.items():
            require_one_of(name, getattr(self, name), get_args(literal))
        if self.time_axis is not None:
            require_one_of("time_axis", self.time_axis, get_args(TimeAxis))
        refuse_contradictions(self)


@dataclass(frozen=True)
class Method:
    """One applied method: its rule with the numbers in force, and where they came from.

    source: one line saying whether the preset's numbers are published or ours. node_id: the graph
    node that shows this method's results, None outside a graph. notes: what was assumed.
    forecast: the method's own, None for what does best.
    """

    policy: Rule
    guards: GuardDefaults = GuardDefaults()
    preset: str = "custom"
    source: str = "set by hand"
    node_id: str | None = None
    notes: tuple[str, ...] = ()
    forecast: Forecast | None = None

    @property
    def name(self) -> str:
        """The method's name as users know it."""
        return self.policy.name

    def resolve(self, identity: Identity, steps: int | None = None) -> Method:
        """Itself: its numbers are the same on every model."""
        return self


class Choice(Protocol):
    """What a user chose on an Apply node; its numbers follow from the model, and from its run."""

    @property
    def name(self) -> str:
        """The method's name as users know it."""

    def resolve(self, identity: Identity, steps: int | None = None) -> Method:
        """The method with the numbers for this model; StepCacheError if it cannot work on it.

        steps: of the whole schedule, None before there is one.
        """


@dataclass(frozen=True)
class CacheConfig:
    """Everything one model's cache is told: the recognised model, the methods, the options."""

    identity: Identity
    methods: tuple[Choice, ...]
    options: Options = Options()

    def __deepcopy__(self, memo: dict[int, Any]) -> CacheConfig:
        return self  # immutable: hosts that deep-copy model options share it

    def resolved(self, facts: RunFacts, whole: int) -> tuple[Identity, list[Method]]:
        """The model, and its methods with their numbers, for a part of ``whole`` steps.

        It is taken for one of two experts only where name or place tell so: what is guessed from
        the run may be a model alone, and so is a low noise one that starts at full noise.
        """
        identity, expert = self.identity.running(facts), self.identity.expert
        methods = [choice.resolve(identity, whole) for choice in self.methods]
        if expert is None or (expert == "low" and facts.first_sigma >= FULL_NOISE):
            return identity, methods
        return identity, [replace(m, guards=m.guards.of_expert(expert, whole)) for m in methods]

    def with_method(self, method: Choice, options: Options | None) -> CacheConfig:
        """This configuration with ``method`` added, in place of an earlier one of its kind.

        Methods stand in the order in which they are asked, however they were chained.
        """
        others = tuple(known for known in self.methods if known.name != method.name)
        return replace(
            self, methods=in_precedence((*others, method)), options=options or self.options
        )
