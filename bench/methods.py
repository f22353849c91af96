"""The pack's methods, each over its knob, and as its presets give it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .entry import Entry
from .opening import part
from .scenario import MAIN, Scenario
from .stage import Stage

FORECASTS = ("auto", "hold", "taylor")
PRESETS = ("quality", "balanced", "fast")
FIRST_BLOCK = ((0.04, 3), (0.07, 3), (0.12, 4), (0.2, 6))
"""Thresholds, and how many steps may be reused in a row."""
Make = Callable[[Stage, str, Any], Any]


@dataclass(frozen=True)
class Sweep:
    """A method: how to make its choice from a preset and a knob value, and the values to try.

    values: four, from many computed steps to few. knob: words around a value.
    """

    method: str
    knob: str
    values: tuple[Any, ...]
    make: Make


@dataclass(frozen=True)
class Guarded:
    """A choice with its own numbers, but the guards of the same method's preset `balanced`.

    most_skips: reused steps in a row instead of the preset's.
    """

    choice: Any
    most_skips: int | None = None

    @property
    def name(self) -> str:
        """The method's name."""
        return str(self.choice.name)

    def resolve(self, identity: Any, steps: int | None = None) -> Any:
        """The method with the numbers for this model."""
        guards = replace(self.choice, preset="balanced").resolve(identity, steps).guards
        if self.most_skips is not None:
            guards = replace(guards, max_consecutive_skips=self.most_skips)
        return replace(self.choice.resolve(identity, steps), guards=guards)


def choice(name: str, *args: Any, **kwargs: Any) -> Any:
    """One of the pack's choices, by the name of its method."""
    module = part(f"cache_core.{name.lower()}_presets")
    return getattr(module, f"{name}Choice")(*args, **kwargs)


def fbcache(stage: Stage, preset: str, value: tuple[float, int]) -> Any:
    """First block cache; with few computed steps the limit of reuses in a row has to give way."""
    made = choice("FBCache", preset, value[0])
    return Guarded(made, value[1]) if preset == "custom" else made


def teacache_e0(stage: Stage, preset: str, value: float) -> Any:
    """TeaCache with `use_ret_steps` and the calibrated polynomial."""
    return choice("TeaCache", preset, value, True, calibration=stage.calibration)


def teacache_e(stage: Stage, preset: str, value: float) -> Any:
    """TeaCache without `use_ret_steps`, with the calibrated polynomial."""
    return choice("TeaCache", preset, value, False, calibration=stage.calibration)


def magcache(stage: Stage, preset: str, value: tuple[float, int]) -> Any:
    """MagCache with calibrated ratios."""
    return choice("MagCache", preset, *value, 0.2, calibration=stage.calibration)


def taylorseer(stage: Stage, preset: str, value: int) -> Any:
    """TaylorSeer of order 1."""
    return choice("TaylorSeer", preset, value, 1, 6)


def adacache(stage: Stage, preset: str, value: float) -> Any:
    """AdaCache with the fast codebook for 30 steps, its distances times `value`."""
    module = part("cache_core.adacache")
    book = module.parse_codebook(part("cache_core.adacache_presets").OFFICIAL["30 steps fast"][0])
    return choice("AdaCache", preset, ", ".join(f"{d * value:.6g}:{n}" for d, n in book))


def customcache(stage: Stage, preset: str, value: float) -> Any:
    """CustomCache, which has no calibration: the raw signal of the tiny Wan."""
    return choice("CustomCache", preset, value)


def easycache(stage: Stage, preset: str, value: float) -> Any:
    """The pack's own EasyCache."""
    return choice("EasyCache", preset, value)


def cfgcache(stage: Stage, preset: str, value: int) -> Any:
    """CFG Cache, from 30 % of the schedule on."""
    return choice("CFGCache", preset, value, 0.3, 1.0)


def easycache_guided(stage: Stage, preset: str, value: float) -> Any:
    """EasyCache, and CFG Cache of interval 2 behind it."""
    return easycache(stage, preset, value), cfgcache(stage, preset, 2)


GUIDED = (cfgcache, easycache_guided)
"""Without guidance there is nothing that they could leave out."""
SWEEPS = (
    Sweep("FBCache", "threshold {}, {} in a row", FIRST_BLOCK, fbcache),
    Sweep("TeaCache e0", "threshold {}", (0.04, 0.06, 0.09, 0.15), teacache_e0),
    Sweep("TeaCache e", "threshold {}", (0.04, 0.055, 0.07, 0.1), teacache_e),
    Sweep("MagCache", "E {}, K {}", ((0.03, 1), (0.06, 3), (0.12, 4), (0.4, 8)), magcache),
    Sweep("TaylorSeer", "interval {}", (2, 3, 4, 6), taylorseer),
    Sweep("AdaCache", "codebook x{}", (0.17, 0.24, 0.35, 0.6), adacache),
    Sweep("CustomCache", "threshold {}", (0.12, 0.2, 0.3, 0.5), customcache),
    Sweep("EasyCache", "threshold {}", (0.035, 0.06, 0.1, 0.16), easycache),
    Sweep("CFG Cache", "interval {}", (2, 3, 5, 8), cfgcache),
    Sweep("EasyCache + CFG Cache", "threshold {}", (0.035, 0.06, 0.1, 0.16), easycache_guided),
)


def methods(scenario: Scenario) -> Iterator[Entry]:
    """Every method over its knob; in the main scenario with every forecast, and every preset."""
    for sweep in SWEEPS:
        if sweep.make in GUIDED and scenario.cfg == 1:
            continue
        if scenario != MAIN:
            values = [fitting(value, scenario) for value in sweep.values]
            yield from swept(sweep, values, "auto")
            continue
        for forecast in FORECASTS:
            yield from swept(sweep, sweep.values, forecast)
        for preset in PRESETS:
            patch = patch_with(sweep, preset, sweep.values[0], "auto")
            yield Entry("pack", sweep.method, preset, patch, "preset", "auto")


def fitting(value: Any, scenario: Scenario) -> Any:
    """A knob value for the steps of a scenario: thresholds change with them, counts do not."""
    if isinstance(value, tuple):
        return (fitting(value[0], scenario), *value[1:])
    return scenario.threshold(value) if isinstance(value, float) else value


def swept(sweep: Sweep, values: Sequence[Any], forecast: str) -> Iterator[Entry]:
    """A method at these values of its knob."""
    for value in values:
        words = value if isinstance(value, tuple) else (value,)
        patch = patch_with(sweep, "custom", value, forecast)
        yield Entry("pack", sweep.method, sweep.knob.format(*words), patch, forecast=forecast)


def patch_with(
    sweep: Sweep, preset: str, value: Any, forecast: str
) -> Callable[[Stage], Any]:
    """How a model gets this method."""

    def patch(stage: Stage) -> Any:
        made = sweep.make(stage, preset, value)
        options = part("cache_core").Options(forecast=forecast)
        model = stage.model
        for one in made if isinstance(made, tuple) else (made,):
            own = Guarded(one) if preset == "custom" and not isinstance(one, Guarded) else one
            model = part("nodes.host").attach(model, stage.identity, own, options)
        return model

    return patch
