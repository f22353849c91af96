"""The inputs of Step Cache Options."""

from typing import get_args

from comfy_api.latest import io

from ..cache_core.vocabulary import (
    CacheDevice,
    CacheDtype,
    CacheLevel,
    CfgMode,
    Correction,
    ForecastName,
    OnFewSteps,
    TimeAxis,
)

PRESET = -1
"""The widget value that leaves a number to the preset or the method."""

AUTO = "auto"


def window() -> list[io.Input]:
    """In which part of the schedule steps may be reused."""
    return [
        io.Float.Input(
            "start_percent",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Reuse from this part of the whole schedule on, 0 to 1.",
        ),
        io.Float.Input(
            "end_percent",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Compute every step from this part of the whole schedule on, 0 to 1.",
        ),
    ]


def ways() -> list[io.Input]:
    """Who decides, and what is kept."""
    return [
        io.Combo.Input(
            "cfg_mode",
            options=list(get_args(CfgMode)),
            default="cond",
            tooltip="cond: one decision for both branches, from the positive prompt where they run "
            "in one batch; separate: each branch decides, and in one batch they are reused only if "
            "both agree; all: a branch that computes makes the others compute too, where they run "
            "one after the other those that come later.",
        ),
        io.Combo.Input(
            "cache_level",
            options=list(get_args(CacheLevel)),
            default="auto",
            tooltip="output keeps the model's output (a few MB); hidden keeps the residual "
            "of its blocks (about 1.3 GB on 14B) and runs the head at every step; auto "
            "is output.",
        ),
    ]


def few_steps() -> io.Input:
    """What to do when there are few steps."""
    return io.Combo.Input(
        "on_few_steps",
        options=list(get_args(OnFewSteps)),
        default="off",
        optional=True,
        tooltip="Below 10 steps, or 13 at CFG 1: off computes everything, since there is little to "
        "gain and much to lose; warn and allow reuse as ever, with and without saying so.",
    )


def forecast() -> list[io.Input]:
    """What a reused step is."""
    return [
        io.Combo.Input(
            "forecast",
            options=list(get_args(ForecastName)),
            default="auto",
            optional=True,
            tooltip="What a reused step is: hold repeats the last computed one, as most methods "
            "were published; taylor extrapolates. auto does what proved best for the method.",
        ),
        io.Int.Input(
            "max_order",
            default=PRESET,
            min=PRESET,
            max=3,
            optional=True,
            tooltip="Degree of the extrapolation, 0 to hold. -1: as the method says.",
        ),
        io.Combo.Input(
            "time_axis",
            options=[AUTO, *get_args(TimeAxis)],
            default=AUTO,
            optional=True,
            tooltip="What the extrapolation runs along: the step, sigma or log-SNR. auto: as the "
            "method says.",
        ),
        io.Combo.Input(
            "correction",
            options=list(get_args(Correction)),
            default="auto",
            optional=True,
            tooltip="Once a step is computed, make good what the reused steps before it got wrong; "
            "costs nothing. auto does with forecast auto, on samplers where it is known to help.",
        ),
    ]


def explicit() -> list[io.Input]:
    """A schedule of the user's own."""
    return [
        io.Boolean.Input(
            "alternating",
            default=False,
            optional=True,
            tooltip="Compute after every reused step: never two reused in a row.",
        ),
        io.String.Input(
            "step_mask",
            default="",
            optional=True,
            tooltip="What every step of the whole schedule does, instead of the method: a letter "
            "each, 1 compute, 0 reuse or a dot for as the method decides (1111 0110 ....), or the "
            "steps to compute, counted from 1 (1-6, 8, 10, 20). Empty: the method decides.",
        ),
    ]


def storage() -> list[io.Input]:
    """Where and how values are kept."""
    return [
        io.Combo.Input(
            "cache_device",
            options=list(get_args(CacheDevice)),
            default="auto",
            optional=True,
            tooltip="Where values are kept: on the GPU, or in RAM (cpu), copied while the GPU "
            "computes. auto: the GPU, unless its memory is short.",
        ),
        io.Combo.Input(
            "cache_dtype",
            options=list(get_args(CacheDtype)),
            default="auto",
            optional=True,
            tooltip="What values are kept as: model is exact; bf16, fp16 and fp8 (with a scale per "
            "token) take less memory. auto is model.",
        ),
    ]


def guards() -> list[io.Input]:
    """Numbers that limit reuse."""
    return [
        _guard("warmup_steps", "Steps always computed when an expert starts."),
        _guard("last_steps", "Steps always computed when a sampler ends."),
        _guard("max_consecutive_skips", "Reused steps in a row; 0 reuses nothing."),
    ]


def _guard(name: str, tooltip: str) -> io.Input:
    return io.Int.Input(
        name, default=PRESET, min=PRESET, max=1000, tooltip=f"{tooltip} -1: as the preset says."
    )
