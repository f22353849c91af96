"""A trained model that a scenario samples with, on the schedule it was trained for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from devtools.paths import ROOT

from .opening import part
from .scenario import EXPERTS, IMAGE, SHIFT

CHECKPOINTS = {
    "": {"": "tiny_wan"},
    EXPERTS: {"high": "tiny_wan", "low": "tiny_wan_low_noise"},
    IMAGE: {"": "tiny_wan_i2v"},
}
"""By what is sampled, the checkpoint of each expert; the one model of Wan 2.1 is Wan 2.2's
high-noise expert too."""


@dataclass(frozen=True)
class Stage:
    """A model behind ModelSamplingSD3, which Wan it is, and what was measured of it.

    What is measured of both experts is in one calibration.
    """

    model: Any
    identity: Any
    calibration: Any = None


def loaded() -> dict[str, tuple[Stage, ...]]:
    """All of them, by what is sampled; needs the host and the pack to be imported."""
    return {
        wan: tuple(load(name, expert) for expert, name in files.items())
        for wan, files in CHECKPOINTS.items()
    }


def load(name: str, expert: str) -> Stage:
    """A checkpoint as one of the experts, or as the only model."""
    path = ROOT / "tests" / "assets" / "tiny_wan" / f"{name}.safetensors"
    plain = import_module("comfy.sd").load_diffusion_model(str(path))
    sampling = import_module("comfy_extras.nodes_model_advanced").ModelSamplingSD3()
    model = sampling.patch(plain, SHIFT)[0]
    identity = part("nodes.host").recognise(model)
    return Stage(model, identity.placed(expert) if expert else identity)


def measured(stages: tuple[Stage, ...], name: str, sample: Any) -> tuple[Stage, ...]:
    """The same, with what MagCache Calibrate measures when ``sample`` samples with them."""
    module = part("nodes.host.calibrate")
    sample([module.attach(s.model, module.Request(s.identity, name, True, None)) for s in stages])
    found = part("nodes.host.calibration_files").load(name, "calibration")
    return tuple(replace(stage, calibration=found) for stage in stages)
