"""A real ComfyUI in this process, with the pack and the tiny Wan, ready to sample."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from devtools.host_runtime import import_host
from devtools.paths import ROOT

from .prompts import CALIBRATION, Prompt
from .scenario import MAIN, SCHEDULER, SHIFT, Scenario

LATENT = (1, 16, 5, 16, 16)
CALIBRATED = "bench.safetensors"


@dataclass(frozen=True)
class Sampled:
    """One sampling: its frames [frames, height, width, channels] in 0..1, and what it took.

    computed: evaluations in which the model ran to its last block; half of one where one of its two
    branches did. cpu_seconds: of this process. trace: the pack's own, None without it.
    """

    frames: Tensor
    evaluations: int
    computed: float
    seconds: float
    cpu_seconds: float
    trace: Any | None


@dataclass
class Counter:
    """Counts evaluations, and the rows of them that reached the last block of the model.

    rows: of an evaluation in which all branches run.
    """

    rows: int
    evaluations: int = 0
    ran: int = 0

    def block(self, _block: Any, _inputs: Any, output: Tensor) -> None:
        """The last block of the model ran on some rows."""
        self.ran += len(output)

    def step(self, *_: Any) -> None:
        """A step is over; the samplers here evaluate the model once in each."""
        self.evaluations += 1

    @property
    def computed(self) -> float:
        """Evaluations' worth of rows."""
        return self.ran / self.rows


@dataclass
class Workbench:
    """The model behind ModelSamplingSD3, which Wan it is, and its calibration."""

    model: Any
    identity: Any
    calibration: Any = None
    traces: list[Any] = field(default_factory=list)

    def sample(self, model: Any, scenario: Scenario, prompt: Prompt) -> Sampled:
        """One clip."""
        counter = Counter(rows=1 if scenario.cfg == 1 else 2)
        blocks = self.model.get_model_object("diffusion_model").blocks
        handle = blocks[-1].register_forward_hook(counter.block)
        self.traces.clear()
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            latent = _latent(model, scenario, prompt, counter.step)
        finally:
            handle.remove()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        frames = import_module("tiny_wan.nodes").TinyWanDecode.execute({"samples": latent}).args[0]
        trace = self.traces[-1] if self.traces else None
        return Sampled(frames, counter.evaluations, counter.computed, wall, cpu, trace)


def _latent(model: Any, scenario: Scenario, prompt: Prompt, callback: Any) -> Tensor:
    """By the host's own sampler, as the node KSampler calls it."""
    words, comfy_sample = import_module("tiny_wan.words"), import_module("comfy.sample")
    text, seed = prompt
    latent = torch.zeros(LATENT)
    noise = comfy_sample.prepare_noise(latent, seed)
    positive, negative = ([[words.embed(part).float(), {}]] for part in (text, ""))
    with torch.inference_mode():
        return comfy_sample.sample(
            model, noise, scenario.steps, scenario.cfg, scenario.sampler, SCHEDULER,
            positive, negative, latent, callback=callback, disable_pbar=True, seed=seed,
        )  # fmt: skip


def part(name: str) -> Any:
    """A module of the pack by its dotted name."""
    return import_module(f"{import_module('pack').NAME}.{name}")


def open_workbench(base: Path, calibrated: bool = True) -> Workbench:
    """Starts everything; the host's files go to `base`. One thread, as renders run side by side."""
    torch.set_num_threads(1)
    import_host(base=base)
    for folder in (ROOT / "tests" / "support", ROOT / "tests" / "assets"):
        sys.path.append(str(folder))
    import_module("pack").load_pack()
    logging.disable(logging.INFO)
    bench = _with_model()
    # The pack publishes a run's trace when it ends.
    part("nodes.host.wrappers").publish = bench.traces.append
    if calibrated:
        bench.calibration = calibrate(bench)
    bench.sample(bench.model, Scenario(2, "euler", MAIN.cfg), CALIBRATION)  # warm-up
    return bench


def _with_model() -> Workbench:
    path = ROOT / "tests" / "assets" / "tiny_wan" / "tiny_wan.safetensors"
    plain = import_module("comfy.sd").load_diffusion_model(str(path))
    sampling = import_module("comfy_extras.nodes_model_advanced").ModelSamplingSD3()
    model = sampling.patch(plain, SHIFT)[0]
    return Workbench(model, part("nodes.host").recognise(model))


def calibrate(bench: Workbench) -> Any:
    """What MagCache Calibrate measures of the tiny Wan, on a prompt of its own."""
    module = part("nodes.host.calibrate")
    request = module.Request(bench.identity, CALIBRATED, True, None)
    bench.sample(module.attach(bench.model, request), MAIN, CALIBRATION)
    return part("nodes.host.calibration_files").load(CALIBRATED)
