"""How the renders of one table are sampled."""

from __future__ import annotations

from dataclasses import dataclass, replace

SHIFT = 5.0
EXPERTS, FIRST_FRAME, IMAGE = "experts", "first_frame", "image"
WANS = {
    "": "",
    EXPERTS: ", two experts",
    FIRST_FRAME: ", first frame given",
    IMAGE: ", image to video",
}
"""What is sampled, and how a title says it: text to video by one model or by the two experts of
Wan 2.2, the rest of a clip whose first frame is given, or a clip by the image-to-video model."""
SCHEDULER = "simple"
TWO_STAGES = ("heun", "dpm_2")
"""Samplers that evaluate the model twice a step, in the last one once."""


@dataclass(frozen=True)
class Scenario:
    """A sampler, its steps and its guidance; ``wan``: one of ``WANS``."""

    steps: int
    sampler: str
    cfg: float
    wan: str = ""

    @property
    def name(self) -> str:
        """As the command line and the results call it."""
        wan = f"-{self.wan}" if self.wan else ""
        return f"{self.sampler}-{self.steps}-cfg{self.cfg:g}{wan}"

    @property
    def title(self) -> str:
        """As a heading says it."""
        return f"{self.sampler}, {self.steps} steps, CFG {self.cfg:g}{WANS[self.wan]}"

    def threshold(self, value: float) -> float:
        """For about as many computed steps as ``value`` gives in the main scenario.

        A step of a shorter schedule goes further, so it changes more.
        """
        return float(f"{value * MAIN.steps / self.steps:.3g}")

    @property
    def stages(self) -> int:
        """Evaluations a step."""
        return 2 if self.sampler in TWO_STAGES else 1

    @property
    def work(self) -> float:
        """Grows with the time a render takes: CFG 1 needs one branch only."""
        return self.steps * self.stages * (1 if self.cfg == 1 else 2)


MAIN = Scenario(30, "euler", 5.0)
"""Measured in full: every forecast, every preset, one knob value more."""

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        MAIN,
        replace(MAIN, cfg=1.0),
        replace(MAIN, sampler="dpmpp_2m"),
        replace(MAIN, steps=20),
        replace(MAIN, steps=50),
        replace(MAIN, sampler="heun", steps=16),
        replace(MAIN, sampler="dpm_2", steps=16),
        replace(MAIN, wan=EXPERTS),
        replace(MAIN, wan=FIRST_FRAME),
        replace(MAIN, wan=IMAGE),
    )
}
"""The main one, and each thing about it changed once."""
