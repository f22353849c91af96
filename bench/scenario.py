"""How the renders of one table are sampled."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

SHIFT = 5.0
SCHEDULER = "simple"
STEPS = (20, 30, 50)
SAMPLERS = ("euler", "dpmpp_2m")
GUIDANCES = (5.0, 1.0)


@dataclass(frozen=True)
class Scenario:
    """A sampler, its steps and its guidance."""

    steps: int
    sampler: str
    cfg: float

    @property
    def name(self) -> str:
        """As the command line and the results call it."""
        return f"{self.sampler}-{self.steps}-cfg{self.cfg:g}"

    @property
    def title(self) -> str:
        """As a heading says it."""
        return f"{self.sampler}, {self.steps} steps, CFG {self.cfg:g}"

    def threshold(self, value: float) -> float:
        """For about as many computed steps as ``value`` gives in the main scenario.

        A step of a shorter schedule goes further, so it changes more.
        """
        return float(f"{value * MAIN.steps / self.steps:.3g}")

    @property
    def work(self) -> float:
        """Grows with the time a render takes: CFG 1 needs one branch only."""
        return self.steps * (1 if self.cfg == 1 else 2)


MAIN = Scenario(30, "euler", 5.0)
"""Measured in full: every forecast, every preset, one knob value more."""

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        MAIN,
        *(s for s in (Scenario(*c) for c in product(STEPS, SAMPLERS, GUIDANCES)) if s != MAIN),
    )
}
