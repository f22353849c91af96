"""Published settings, what was published for them, and which steps they compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .opening import part
from .random_wan import LATENTS, TINY, WAN_1_3B, WAN_14B, Shape, build, sample, shifted

WAN_14B_I2V = replace(WAN_14B, name="14B I2V", kind="i2v")
STEPS, STEPS_I2V = 50, 40
SHIFT, SHIFT_I2V_480P = 5.0, 3.0
COMPUTED_FIRST = 0.2
"""Share of the steps that a schedule with a forced share computes first, as published ones do."""


@dataclass(frozen=True)
class Model:
    """A model at a resolution; it is loaded once and timed once for all of its cases."""

    shape: Shape
    resolution: str

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.shape.name} {self.resolution}"


@dataclass(frozen=True)
class Case:
    """A published setting.

    curve: MagCache's published curve, whose schedule is then the pack's own. computed: where the
    schedule depends on the weights, so many steps are computed, as published or as the published
    ratio says. published: time without over time with, None where nobody published one.
    """

    method: str
    setting: str
    model: Model
    published: float | None
    source: str
    curve: tuple[str, float, int] | None = None
    computed: int | None = None
    steps: int = STEPS
    shift: float = SHIFT

    def letters(self) -> str:
        """C (computed) or R (reused) for every step."""
        if self.computed is not None:
            return forced(self.steps, self.computed)
        return planned(self)


LOW, HIGH = LATENTS
S, S720 = Model(WAN_1_3B, LOW), Model(WAN_1_3B, HIGH)
L, L720 = Model(WAN_14B, LOW), Model(WAN_14B, HIGH)
I2V = Model(WAN_14B_I2V, LOW)
MODELS = (S, S720, L, L720, I2V)
"""In the order in which they are timed: the quick ones first."""

T2V_1_3B, T2V_14B, I2V_480P = "wan2.1_t2v_1.3B", "wan2.1_t2v_14B", "wan2.1_i2v_480p_14B"
README = "MagCache README"
FORCED = "share forced by step_mask"
CASES = (
    Case("MagCache", "E 0.12, K 4", S, 2.68, "MagCache paper, A800", (T2V_1_3B, 0.12, 4)),
    Case("TeaCache", FORCED, S, 2.0, "TeaCache README, A800, threshold 0.08", computed=25),
    Case("CustomCache", FORCED, S, 3.49, "LightX2V, H200, threshold 0.26", computed=14),
    Case("AdaCache", FORCED, S, 2.73, "LightX2V, H200", computed=18),
    Case("EasyCache", FORCED, S, 2.54, "EasyCache paper, A800", computed=19),
    Case("TaylorSeer", "interval 2", S, 2.07, "MagCache paper, N 2, order 1"),
    Case("MagCache", "E 0.12, K 4", S720, None, "", (T2V_1_3B, 0.12, 4)),
    Case("MagCache", "E 0.24, K 6", L, 2.78, "its model calls, 18 of 50", (T2V_14B, 0.24, 6)),
    Case("FBCache", FORCED, L, 1.85, "diffsynth-wan-cache, threshold 0.06", computed=27),
    Case("MagCache", "E 0.24, K 6", L720, 2.8, README, (T2V_14B, 0.24, 6)),
    Case("TeaCache", FORCED, L720, 2.0, README, computed=25),
    Case("MagCache", "E 0.24, K 6", I2V, 2.67, "its model calls, 15 of 40", (I2V_480P, 0.24, 6),
         steps=STEPS_I2V, shift=SHIFT_I2V_480P),
)  # fmt: skip


def forced(steps: int, computed: int) -> str:
    """So many computed steps: the first fifth and the last, the others as evenly as they go."""
    first = min(round(COMPUTED_FIRST * steps), computed - 1)
    rest, left = steps - first, computed - first
    even = {first + ((place + 1) * rest) // left - 1 for place in range(left)}
    return "".join("C" if step < first or step in even else "R" for step in range(steps))


def choice_of(method: str, curve: tuple[str, float, int] | None = None) -> Any:
    """The pack's choice. Where a mask decides, its numbers do not matter."""
    numbers: dict[str, Callable[[], tuple[Any, ...]]] = {
        "FBCache": lambda: (0.06,),
        "TeaCache": lambda: (0.08,),
        "TaylorSeer": lambda: (2, 1, 1),
        "AdaCache": lambda: ("0.1:2, 1:1",),
        "CustomCache": lambda: (0.26,),
        "EasyCache": lambda: (0.05,),
    }
    module = part(f"cache_core.{method.lower()}_presets")
    made = getattr(module, f"{method}Choice")
    if curve is not None:
        name, error, most = curve
        return made("custom", error, most, 0.2, curve=name)
    return made("custom", *numbers[method]())


def planned(case: Case) -> str:
    """The schedule that the pack makes of sigmas and a published curve alone.

    It depends on no weights, so a sampling of a tiny model tells it.
    """
    tiny = replace(TINY, layers=1, size=(1, 4, 4), text=1)
    model = shifted(build(tiny), case.shift)
    host = part("nodes.host")
    cached = host.attach(
        model,
        host.recognise(model),
        choice_of(case.method, case.curve),
        part("cache_core").Options(),
    )
    traces: list[Any] = []
    wrappers = part("nodes.host.wrappers")
    publish, wrappers.publish = wrappers.publish, traces.append
    try:
        sample(cached, tiny, case.steps)
    finally:
        wrappers.publish = publish
    records = [record for record in traces[-1].records if record.branch == "cond"]
    return "".join("R" if record.action.value == "reuse" else "C" for record in records)
