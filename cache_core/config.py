"""What a user asked for: frozen, validated once, cheap to copy, free of tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from .errors import require
from .vocabulary import CacheLevel, CfgMode

if TYPE_CHECKING:
    from .policy import Policy


def _one_of(literal: Any) -> str:
    return "one of " + ", ".join(get_args(literal))


@dataclass(frozen=True)
class GuardDefaults:
    """What a preset puts in place of the guards that the options leave open.

    warmup_ratio: share of the run's steps always computed at its start, rounded up.
    last_steps: steps always computed at its end.
    max_consecutive_skips: reuses in a row, None for no limit.
    """

    warmup_ratio: float = 0.1
    last_steps: int = 1
    max_consecutive_skips: int | None = 3


@dataclass(frozen=True)
class Options:
    """Options shared by all methods; None leaves a guard to the method's preset.

    start_percent, end_percent: part of the whole schedule in which reuse is allowed, 0 to 1.
    warmup_steps, last_steps: steps of each sampler run that are always computed.
    max_consecutive_skips: reuses in a row; 0 never reuses.
    cfg_mode: ``cond`` decides for every branch, or each branch decides (``separate``).
    cache_level: what is kept, ``output`` (the velocity, latent-sized) or ``hidden`` (the residual
    of the block stack); ``auto`` is ``output``.
    verbose: one log line per evaluation.
    """

    start_percent: float = 0.0
    end_percent: float = 1.0
    warmup_steps: int | None = None
    last_steps: int | None = None
    max_consecutive_skips: int | None = None
    cfg_mode: CfgMode = "cond"
    cache_level: CacheLevel = "auto"
    verbose: bool = False

    def __post_init__(self) -> None:
        for name in ("start_percent", "end_percent"):
            value = getattr(self, name)
            require(0 <= value <= 1, name, value, "between 0 and 1 (0.5 is half of the schedule)")
        ordered = self.start_percent < self.end_percent
        require(
            ordered,
            "start_percent",
            self.start_percent,
            f"below `end_percent` ({self.end_percent})",
        )
        for name in ("warmup_steps", "last_steps", "max_consecutive_skips"):
            value = getattr(self, name)
            require(value is None or value >= 0, name, value, "0 or more, or left to the preset")
        require(self.cfg_mode in get_args(CfgMode), "cfg_mode", self.cfg_mode, _one_of(CfgMode))
        known = get_args(CacheLevel)
        require(self.cache_level in known, "cache_level", self.cache_level, _one_of(CacheLevel))


@dataclass(frozen=True)
class Method:
    """One applied method: its policy with the numbers in force, and where they came from.

    source: one line saying whether the preset's numbers are published or ours.
    node_id: the graph node that shows this method's results, None outside a graph.
    """

    policy: Policy
    guards: GuardDefaults = GuardDefaults()
    preset: str = "custom"
    source: str = "set by hand"
    node_id: str | None = None


@dataclass(frozen=True)
class CacheConfig:
    """Everything one model's cache is told: the recognised model, the methods, the options."""

    model: str
    methods: tuple[Method, ...]
    options: Options = Options()

    def __deepcopy__(self, memo: dict[int, Any]) -> CacheConfig:
        return self  # immutable: hosts that deep-copy model options share it

    def with_method(self, method: Method, options: Options | None) -> CacheConfig:
        """This configuration with ``method`` added, in place of an earlier one of its kind."""
        others = tuple(m for m in self.methods if m.policy.name != method.policy.name)
        return replace(self, methods=(*others, method), options=options or self.options)
