"""A trained model that a scenario samples with, on the schedule it was trained for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from devtools.paths import ROOT

from .opening import part
from .scenario import SHIFT

FILES = {"": "tiny_wan", "high": "tiny_wan", "low": "tiny_wan_low_noise"}
"""Checkpoints by expert; the one model of Wan 2.1 is Wan 2.2's high-noise expert too."""


@dataclass(frozen=True)
class Stage:
    """A model behind ModelSamplingSD3, which Wan it is, and what was measured of it.

    What is measured of both experts is in one calibration.
    """

    model: Any
    identity: Any
    calibration: Any = None


def load(expert: str = "") -> Stage:
    """One of the checkpoints; the first calls need the host and the pack to be imported."""
    path = ROOT / "tests" / "assets" / "tiny_wan" / f"{FILES[expert]}.safetensors"
    plain = import_module("comfy.sd").load_diffusion_model(str(path))
    sampling = import_module("comfy_extras.nodes_model_advanced").ModelSamplingSD3()
    model = sampling.patch(plain, SHIFT)[0]
    identity = part("nodes.host").recognise(model)
    return Stage(model, identity.placed(expert) if expert else identity)


def measured(stages: tuple[Stage, ...], name: str, sample: Any) -> tuple[Stage, ...]:
    """The same, with what MagCache Calibrate measures when ``sample`` samples with them."""
    module = part("nodes.host.calibrate")
    sample([module.attach(s.model, module.Request(s.identity, name, True, None)) for s in stages])
    found = part("nodes.host.calibration_files").load(name)
    return tuple(replace(stage, calibration=found) for stage in stages)
