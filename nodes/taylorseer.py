"""Apply TaylorSeer."""

from typing import Any, get_args

from comfy_api.latest import io

from ..cache_core import Options
from ..cache_core.taylorseer_presets import TaylorSeerChoice
from ..cache_core.vocabulary import PresetName, TimeAxis
from . import inputs
from .apply import apply


class ApplyTaylorSeer(io.ComfyNode):
    """TaylorSeer on a Wan model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as ComfyUI shows it."""
        return io.Schema(
            node_id="WanStepCache_TaylorSeer",
            display_name="Apply TaylorSeer",
            category=inputs.CATEGORY,
            description="Speeds up Wan video sampling: one step in a few is computed, those "
            "between are extrapolated from the last ones. Predictable time, whatever the video.",
            search_aliases=[
                *inputs.FASTER,
                *("TaylorSeer", "interval", "forecast", "every other step"),
            ],
            inputs=[
                inputs.model(),
                inputs.preset(),
                *_numbers(),
                *_advanced(),
                inputs.low_noise_model(),
                inputs.options(),
            ],
            outputs=inputs.outputs(),
            **inputs.OWN_RUNS,
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        preset: PresetName,
        interval: int,
        max_order: int,
        first_enhance: int,
        last_steps: int = 1,
        time_axis: TimeAxis = "logsnr",
        low_noise_model: Any | None = None,
        options: Options | None = None,
    ) -> io.NodeOutput:
        """Patch one or both experts."""
        numbers = (interval, max_order, first_enhance, last_steps, time_axis)
        choice = TaylorSeerChoice(preset, *numbers, node_id=cls.hidden.unique_id)
        return apply(choice, cls, model, low_noise_model, options)


def _numbers() -> list[io.Input]:
    return [
        io.Int.Input(
            "interval",
            extra_dict=inputs.CUSTOM_ONLY,
            default=3,
            min=1,
            max=20,
            tooltip="With preset custom: one step in so many is computed (2 to 5).",
        ),
        inputs.max_order(custom_only=True),
        io.Int.Input(
            "first_enhance",
            extra_dict=inputs.CUSTOM_ONLY,
            default=6,
            min=0,
            max=1000,
            tooltip="With preset custom: steps that are computed at the start. Early steps decide "
            "layout and motion.",
        ),
    ]


def _advanced() -> list[io.Input]:
    return [
        io.Int.Input(
            "last_steps",
            extra_dict=inputs.CUSTOM_ONLY,
            default=1,
            min=0,
            max=1000,
            optional=True,
            advanced=True,
            tooltip="With preset custom: steps that are computed at the end.",
        ),
        io.Combo.Input(
            "time_axis",
            options=list(get_args(TimeAxis)),
            default="logsnr",
            optional=True,
            advanced=True,
            tooltip="What the extrapolation runs along: the step, sigma, or log-SNR, which stays "
            "stable over long gaps.",
        ),
    ]
