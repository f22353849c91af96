"""The configurations whose cost is measured: methods, and how they keep their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from .opening import part

ALTERNATING = "01"
PLAIN = ("gpu", "model")
LEVELS, DEVICES = ("output", "hidden"), ("gpu", "cpu")
DTYPES = ("model", "bf16", "fp16", "fp8")


@dataclass(frozen=True)
class Configuration:
    """A method, and how its values are kept."""

    method: str
    level: str = "output"
    device: str = "gpu"
    dtype: str = "model"

    def patch(self, identity: Any, steps: int) -> Callable[[Any], Any]:
        """Puts it onto a model: from the third on, every other step is reused."""
        options = part("cache_core").Options(
            step_mask="" if self.method == "CFG Cache" else mask_of(steps),
            cache_level=self.level,
            cache_device=self.device,
            cache_dtype=self.dtype,
            on_few_steps="allow",
        )
        choice = CHOICES[self.method]()
        attach = part("nodes.host").attach
        return lambda model: attach(model, identity, choice, options)


def mask_of(steps: int) -> str:
    """Two steps computed, then in turn one reused and one computed."""
    return ("11" + ALTERNATING * steps)[:steps]


def choice(name: str, *numbers: Any, **named: Any) -> Any:
    """One of the pack's choices with numbers of its own."""
    module = part(f"cache_core.{name.lower()}_presets")
    return getattr(module, f"{name}Choice")("custom", *numbers, **named)


CHOICES: dict[str, Callable[[], Any]] = {
    "FBCache": lambda: choice("FBCache", 0.1),
    "TeaCache": lambda: choice("TeaCache", 0.1),
    "MagCache": lambda: choice("MagCache", 0.12, 4, 0.2, curve="wan2.1_t2v_1.3B"),
    "TaylorSeer": lambda: choice("TaylorSeer", 2, 1, 1),
    "AdaCache": lambda: choice("AdaCache", "0.1:2, 1:1"),
    "CustomCache": lambda: choice("CustomCache", 0.1),
    "EasyCache": lambda: choice("EasyCache", 0.05),
    "CFG Cache": lambda: choice("CFGCache", 2, 0.0, 1.0),
}
"""Every method. The mask decides; what they measure in order to decide, they measure as ever."""

GUIDANCE = ("CFG Cache",)
PROBING = ("FBCache",)
"""Methods that look at block 0 in every evaluation."""


def configurations() -> Iterator[Configuration]:
    """Every method at both levels; then one that keeps two values, everywhere and as everything."""
    for name in CHOICES:
        levels = LEVELS[:1] if name in GUIDANCE else LEVELS
        yield from (Configuration(name, level) for level in levels)
    for level, device, dtype in product(LEVELS, DEVICES, DTYPES):
        if (device, dtype) != PLAIN:
            yield Configuration("TaylorSeer", level, device, dtype)


FEW = (
    Configuration("FBCache"),
    Configuration("TaylorSeer"),
    Configuration("TaylorSeer", "hidden"),
)
"""Where an evaluation takes seconds: one that looks at tensors, and one that does not."""
