"""A real ComfyUI in this process, with the pack and the tiny Wan, ready to sample."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from devtools.host_runtime import import_host
from devtools.paths import ROOT

from .clips import frames_of, latent_of
from .opening import part
from .prompts import CALIBRATION, Prompt
from .scenario import MAIN, Scenario
from .stage import Stage, loaded, measured

CALIBRATED = "bench.safetensors"


@dataclass(frozen=True)
class Sampled:
    """One sampling: its frames [frames, height, width, channels] in 0..1, and what it took.

    computed: evaluations in which the model ran to its last block; half of one where one of its two
    branches did. cpu_seconds: of this process. traces: the pack's own, one for each model.
    """

    frames: Tensor
    computed: float
    seconds: float
    cpu_seconds: float
    traces: tuple[Any, ...]


@dataclass
class Counter:
    """Counts the rows that reached the last block of a model. rows: of an evaluation in full."""

    rows: int
    ran: int = 0

    def block(self, _block: Any, _inputs: Any, output: Tensor) -> None:
        """The last block of a model ran on some rows."""
        self.ran += len(output)

    @property
    def computed(self) -> float:
        """Evaluations' worth of rows."""
        return self.ran / self.rows


@dataclass
class Workbench:
    """The models by what is sampled, and the traces of the newest sampling."""

    stages: dict[str, tuple[Stage, ...]] = field(default_factory=dict)
    traces: list[Any] = field(default_factory=list)

    def of(self, scenario: Scenario) -> tuple[Stage, ...]:
        """The models that a scenario samples with."""
        return self.stages.get(scenario.wan, self.stages[""])

    def sample(self, models: Sequence[Any], scenario: Scenario, prompt: Prompt) -> Sampled:
        """One clip by these, which are clones of the scenario's models."""
        counter = Counter(rows=1 if scenario.cfg == 1 else 2)
        self.traces.clear()
        with ExitStack() as hooks:
            for stage in self.of(scenario):
                last = stage.model.get_model_object("diffusion_model").blocks[-1]
                hooks.callback(last.register_forward_hook(counter.block).remove)
            wall, cpu = time.perf_counter(), time.process_time()
            latent = latent_of(models, scenario, prompt)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        frames, found = frames_of(latent, scenario), tuple(self.traces)
        return Sampled(frames, counter.computed, wall, cpu, found)


def open_workbench(base: Path, calibrated: bool = True) -> Workbench:
    """Starts everything; the host's files go to `base`. One thread, as renders run side by side."""
    torch.set_num_threads(1)
    import_host(base=base)
    for folder in (ROOT / "tests" / "support", ROOT / "tests" / "assets"):
        sys.path.append(str(folder))
    import_module("pack").load_pack()
    logging.disable(logging.INFO)
    bench = Workbench(loaded())
    # The pack publishes a run's trace when it ends.
    part("nodes.host.wrappers").publish = bench.traces.append
    if calibrated:
        calibrate(bench)
    for wan, stages in bench.stages.items():  # warm-up
        models = [stage.model for stage in stages]
        bench.sample(models, Scenario(2, "euler", MAIN.cfg, wan), CALIBRATION)
    return bench


def calibrate(bench: Workbench) -> None:
    """Measures all models, on a prompt of its own."""
    for wan, stages in list(bench.stages.items()):
        scenario = Scenario(MAIN.steps, MAIN.sampler, MAIN.cfg, wan)

        def sample(models: Sequence[Any], scenario: Scenario = scenario) -> None:
            bench.sample(models, scenario, CALIBRATION)

        bench.stages[wan] = measured(stages, f"{wan}{CALIBRATED}", sample)
