"""Inputs that several nodes share."""

from collections.abc import Sequence
from typing import Any, get_args

from comfy_api.latest import io

from ..cache_core.vocabulary import PresetName

CATEGORY = "model/patch/wan step cache"
FASTER = ("speed up", "accelerate", "faster", "skip steps", "step cache", "cache")
"""What people type who want a faster sampling and know no method by name."""

CUSTOM_ONLY = {"wan_step_cache_custom_only": True}
"""Of numbers that count with preset custom only: the browser greys them with another preset, and
switches to custom when one is edited."""

OWN_RUNS: dict[str, Any] = {
    "hidden": [io.Hidden.unique_id, io.Hidden.prompt],
    "not_idempotent": True,
}
"""Of a node that shows the runs of its model: the model knows the node's id, so it must not be one
that the host remembers of another node with equal inputs."""

OptionsType = io.Custom("WANSTEPCACHE_OPTIONS")


def model() -> io.Input:
    """The model to speed up."""
    return io.Model.Input(
        "model",
        tooltip="A Wan 2.1 or 2.2 model. With the two experts of Wan 2.2, the high-noise one.",
    )


def preset() -> io.Input:
    """How much quality to trade for speed."""
    return io.Combo.Input(
        "preset",
        options=list(get_args(PresetName)),
        default="balanced",
        tooltip="quality, balanced and fast set the numbers below for the recognised model; "
        "custom uses the numbers as they stand. The log says which numbers are in force.",
    )


def max_order(custom_only: bool = False) -> io.Input:
    """The degree of a forecast."""
    degree = "With preset custom: degree" if custom_only else "Degree"
    return io.Int.Input(
        "max_order",
        extra_dict=CUSTOM_ONLY if custom_only else None,
        default=1,
        min=0,
        max=3,
        tooltip=f"{degree} of the extrapolation, 0 to hold the last value, 1 to follow its slope. "
        "Higher degrees amplify noise over gaps of more than two steps.",
    )


def model_variant(families: Sequence[str]) -> io.Input:
    """Which published Wan a model is."""
    return io.Combo.Input(
        "model_variant",
        options=["auto", *families],
        default="auto",
        tooltip="Which published Wan this is, where auto (architecture, file name, then the run) "
        "gets it wrong. The log says what was assumed.",
    )


def low_noise_model() -> io.Input:
    """The other expert of Wan 2.2."""
    return io.Model.Input(
        "low_noise_model",
        optional=True,
        tooltip="The low-noise expert of Wan 2.2: comes out of the second output, cached with "
        "that model's own preset numbers. Leave open for models in one file.",
    )


def options() -> io.Input:
    """Options shared by all methods."""
    return OptionsType.Input(
        "options", optional=True, tooltip="From Step Cache Options. Open: the preset's own guards."
    )


def outputs() -> list[io.Output]:
    """The patched model, and the patched second expert."""
    return [
        io.Model.Output(display_name="model", tooltip="The model to sample with."),
        io.Model.Output(
            display_name="low_noise_model",
            tooltip="The low-noise expert to sample with, if one is connected to the input.",
        ),
    ]
