"""MagCache Calibrate: a sampling in which nothing is reused and everything is measured."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

from ...cache_core import Identity, RunFacts, StepCacheError
from ...cache_core import calibration_file as files
from ...cache_core.branches import Chunk
from ...cache_core.calibration import SINGLE
from ...cache_core.measured import not_finite, tensors_of
from ...cache_core.measurement import Measurement
from ...cache_core.shield import shielded
from .attach import CALIBRATED, patched, warn
from .calibration_facts import facts_for_file
from .calibration_files import path_for
from .chunks import chunks_of
from .facts import ONE_EVALUATION, facts_of, sampler_name
from .feedback import show
from .forward import OPTIONS_ARGUMENT
from .keys import CALIBRATE_KEY, MEASURE_KEY, config_of
from .tap import Tap
from .time_signal import embedding_of
from .wrappers import LATENT, SAMPLER, SIGMAS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What the node asks for: a file of this name for this model."""

    identity: Identity
    name: str
    overwrite: bool
    node_id: str | None

    def __deepcopy__(self, memo: dict[int, Any]) -> Request:
        return self  # immutable: hosts that deep-copy model options share it


class Calibrating:
    """One sampling under calibration: what it is for, and what was measured."""

    def __init__(self, request: Request, guider: Any, args: Sequence[Any]) -> None:
        self.request = request
        self.guider = guider
        self.args = args
        self.sigmas: list[float] = args[SIGMAS].tolist()
        self.facts: RunFacts = facts_of(guider, args[SAMPLER], self.sigmas, args[LATENT])
        self.identity = request.identity.running(self.facts)
        self.section = self.identity.variant.expert or SINGLE
        self.measurement = Measurement(len(self.sigmas) - 1)
        self._refuse_early()

    def _refuse_early(self) -> None:
        """What is known before the first step to end without a file."""
        sampler = sampler_name(self.args[SAMPLER])
        if sampler not in ONE_EVALUATION:
            self.measurement.fail(
                f"the sampler {sampler.removeprefix('sample_')} evaluates the model more than once "
                "a step: use euler"
            )
        if self.facts.rival is not None:
            self.measurement.fail(f"ComfyUI's {self.facts.rival} node leaves out steps: remove it")
        if self.sigmas != sorted(self.sigmas, reverse=True):
            self.measurement.fail("its noise does not fall from step to step")
        if not self.request.overwrite and self._exists():
            self.measurement.fail(f"{self.path.name} exists: turn on overwrite, or change the name")

    @property
    def path(self) -> Any:
        """Where the file goes."""
        return path_for(self.request.name)

    def _exists(self) -> bool:
        """True when writing would replace something: this section, or another model's file."""
        if not self.path.exists():
            return False
        content = files.existing(self.path, self.identity)
        return content is None or self.section in content.sections

    def _content(self) -> files.Content:
        """What the file holds already; nothing if it may be replaced and is of no use."""
        try:
            found = files.existing(self.path, self.identity)
        except StepCacheError:
            if not self.request.overwrite:
                raise
            found = None
        return found or files.empty(self.identity)

    def write(self) -> str:
        """Write the file and say so in words; StepCacheError says why there is none."""
        self.measurement.finish()
        if self.measurement.problem:
            raise StepCacheError(self.measurement.problem)
        embed = embedding_of(self.guider.model_patcher)
        tensors = tensors_of(self.measurement, self.sigmas[:-1], embed)
        wrong = not_finite(tensors)
        if wrong:
            raise StepCacheError(f"{wrong} holds numbers that are none")
        content = self._content()
        content.merge(self.section, facts_for_file(self), tensors)
        files.write(self.path, content)
        return f"wrote {self.path.name}, section {self.section}, {len(self.sigmas) - 1} steps"


def calibrated(
    model: Any, identity: Identity, name: str, overwrite: bool, node_id: str | None
) -> Any:
    """A clone of ``model`` that is measured for a file of this name while it is sampled."""
    return attach(model, Request(identity, name, overwrite, node_id))


def attach(model: Any, request: Request) -> Any:
    """A clone of ``model`` whose next sampling is measured; StepCacheError for a wrong name."""
    path_for(request.name)
    if config_of(model.model_options):
        warn([CALIBRATED])
    return patched(model, CALIBRATE_KEY, request, PHASES)


def outer_sample(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """A sampling: measured from its first evaluation to its last, then written."""
    guider = executor.class_obj
    options = guider.model_options["transformer_options"]
    request: Request = options[CALIBRATE_KEY]
    run = shielded(lambda: Calibrating(request, guider, args), lambda e: tell(request, refusal(e)))
    if run is None:
        return executor(*args, **kwargs)
    options[MEASURE_KEY] = run.measurement
    ended = "the sampling ended early"
    try:
        output = executor(*args, **kwargs)
        ended = shielded(run.write, lambda error: tell(request, refusal(error))) or ""
        return output
    finally:
        options.pop(MEASURE_KEY, None)
        if ended:
            tell(request, ended if ended.startswith("wrote") else refusal(ended))


def refusal(reason: object) -> str:
    """Why there is no file, in words."""
    return f"nothing was written: {reason}"


def tell(request: Request, text: str) -> None:
    """Log it and show it on the node."""
    log.info("Wan Step Cache: MagCache Calibrate: %s", text)
    show(text, request.node_id)


def predict_noise(executor: Any, x: Any, timestep: Any, *args: Any, **kwargs: Any) -> Any:
    """One evaluation of the model: the guided velocity (x - denoised) / sigma is measured."""
    options = executor.class_obj.model_options.get("transformer_options", {})
    measurement = options.get(MEASURE_KEY)
    if measurement is None or measurement.problem:
        return executor(x, timestep, *args, **kwargs)
    failed = measurement_failed(measurement)
    measurement.begin()
    noisy = shielded(x.clone, failed)
    denoised = executor(x, timestep, *args, **kwargs)
    sigma = timestep.reshape(-1, *[1] * (x.ndim - 1))
    shielded(lambda: measurement.end((noisy - denoised) / sigma), failed)
    return denoised


def diffusion_model(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """One call of the model: its residual and output are measured."""
    if torch.compiler.is_compiling():
        return executor(*args, **kwargs)  # what is measured would be that of one call for ever
    model, options = executor.class_obj, args[OPTIONS_ARGUMENT]
    measurement = options.get(MEASURE_KEY)
    if measurement is None or measurement.problem:
        return executor(*args, **kwargs)
    failed = measurement_failed(measurement)
    chunks = shielded(lambda: chunks_of(model, args[0], options, measurement.passes), failed)
    tap = Tap(executor, failed)
    output = tap.call(*args, **kwargs)
    shielded(lambda: measure(measurement, chunks, tap, output), failed)
    return output


def measure(
    measurement: Measurement, chunks: list[Chunk] | None, tap: Tap, output: torch.Tensor
) -> None:
    """Take in one call of the model."""
    residual = tap.residual
    if chunks is None or residual is None:
        measurement.fail("its model was not called as expected")
    else:
        measurement.call(chunks, residual, output)


def measurement_failed(measurement: Measurement) -> Any:
    """What to do with an error of ours in the middle of a sampling: no file, but the render."""
    return lambda error: measurement.fail(f"measuring failed with {error!r}")


PHASES = {
    WrappersMP.OUTER_SAMPLE: outer_sample,
    WrappersMP.PREDICT_NOISE: predict_noise,
    WrappersMP.DIFFUSION_MODEL: diffusion_model,
}
