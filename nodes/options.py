"""Step Cache Options."""

from typing import get_args

from comfy_api.latest import io

from ..cache_core import Options, StepCacheError
from ..cache_core.vocabulary import (
    CacheLevel,
    CfgMode,
    Correction,
    ForecastName,
    OnFewSteps,
    TimeAxis,
)
from . import inputs

PRESET = -1
"""The widget value that leaves a number to the preset or the method."""

AUTO = "auto"


class StepCacheOptions(io.ComfyNode):
    """Options shared by all methods."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as ComfyUI shows it."""
        return io.Schema(
            node_id="WanStepCache_Options",
            display_name="Step Cache Options",
            category=inputs.CATEGORY,
            description="When a step may be reused, and what is kept. Connect to the options "
            "input of an Apply node; every Apply node works without it.",
            search_aliases=["step cache settings", "warm-up", "start percent", "end percent"],
            inputs=[
                *_window(),
                _guard("warmup_steps", "Steps always computed when a sampler starts."),
                _guard("last_steps", "Steps always computed when a sampler ends."),
                _guard("max_consecutive_skips", "Reused steps in a row; 0 reuses nothing."),
                *_ways(),
                io.Boolean.Input(
                    "verbose",
                    default=False,
                    tooltip="Write one line per step and branch to the console.",
                ),
                _few_steps(),
                *_forecast(),
            ],
            outputs=[inputs.OptionsType.Output(display_name="options")],
        )

    @classmethod
    def validate_inputs(cls, start_percent: float | None, end_percent: float | None) -> bool | str:
        """Refuse an empty window before anything is queued.

        The host leaves the ranges of the inputs named here to this check. None: a number comes from
        another node, and is checked when this one runs.
        """
        try:
            Options(
                start_percent=0.0 if start_percent is None else start_percent,
                end_percent=1.0 if end_percent is None else end_percent,
            )
        except StepCacheError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        start_percent: float,
        end_percent: float,
        warmup_steps: int,
        last_steps: int,
        max_consecutive_skips: int,
        cfg_mode: CfgMode,
        cache_level: CacheLevel,
        verbose: bool,
        on_few_steps: OnFewSteps = "off",
        forecast: ForecastName = "auto",
        max_order: int = PRESET,
        time_axis: str = AUTO,
        correction: Correction = "auto",
    ) -> io.NodeOutput:
        """The options as one frozen value."""
        options = Options(
            start_percent=start_percent,
            end_percent=end_percent,
            warmup_steps=_chosen(warmup_steps),
            last_steps=_chosen(last_steps),
            max_consecutive_skips=_chosen(max_consecutive_skips),
            cfg_mode=cfg_mode,
            cache_level=cache_level,
            verbose=verbose,
            on_few_steps=on_few_steps,
            forecast=forecast,
            max_order=_chosen(max_order),
            time_axis=None if time_axis == AUTO else time_axis,
            correction=correction,
        )
        return io.NodeOutput(options)


def _window() -> list[io.Input]:
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


def _ways() -> list[io.Input]:
    return [
        io.Combo.Input(
            "cfg_mode",
            options=list(get_args(CfgMode)),
            default="cond",
            tooltip="cond: one decision for both branches, from the positive prompt where "
            "they run in one batch. separate: each branch decides; in one batch they are "
            "reused only if both agree.",
        ),
        io.Combo.Input(
            "cache_level",
            options=list(get_args(CacheLevel)),
            default="auto",
            tooltip="output keeps the model's output (a few MB); hidden keeps the residual "
            "of its blocks (hundreds of MB on 14B) and runs the head at every step; auto "
            "is output.",
        ),
    ]


def _few_steps() -> io.Input:
    return io.Combo.Input(
        "on_few_steps",
        options=list(get_args(OnFewSteps)),
        default="off",
        optional=True,
        tooltip="Below 10 steps, or 13 at CFG 1: off computes everything, since there is little to "
        "gain and much to lose; warn and allow reuse as ever, with and without saying so.",
    )


def _forecast() -> list[io.Input]:
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


def _guard(name: str, tooltip: str) -> io.Input:
    return io.Int.Input(
        name, default=PRESET, min=PRESET, max=1000, tooltip=f"{tooltip} -1: as the preset says."
    )


def _chosen(value: int) -> int | None:
    return None if value == PRESET else value
