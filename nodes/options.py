"""Step Cache Options."""

from comfy_api.latest import io

from ..cache_core import Options, StepCacheError
from ..cache_core.masks import require_length
from ..cache_core.vocabulary import (
    CacheDevice,
    CacheDtype,
    CacheLevel,
    CfgMode,
    Correction,
    ForecastName,
    OnFewSteps,
)
from . import inputs, option_inputs
from .host import steps_ahead
from .option_inputs import AUTO, PRESET


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
            search_aliases=[
                *("step cache settings", "cache settings", "warm-up", "start percent"),
                *("end percent", "step mask", "forecast", "offload cache", "verbose", "cfg_mode"),
            ],
            inputs=[
                *option_inputs.window(),
                *option_inputs.guards(),
                *option_inputs.ways(),
                io.Boolean.Input(
                    "verbose",
                    default=False,
                    tooltip="Write one line per step and branch to the console, and a table at "
                    "the end.",
                ),
                option_inputs.few_steps(),
                *option_inputs.forecast(),
                *option_inputs.explicit(),
                *option_inputs.storage(),
            ],
            outputs=[
                inputs.OptionsType.Output(
                    display_name="options", tooltip="For the options input of any Apply node."
                )
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        start_percent: float | None = None,
        end_percent: float | None = None,
        warmup_steps: int | None = None,
        last_steps: int | None = None,
        max_consecutive_skips: int | None = None,
        alternating: bool | None = None,
        step_mask: str | None = None,
    ) -> bool | str:
        """Refuse what cannot be meant before anything is queued.

        The host leaves the ranges of the inputs named here to this check. None: a value comes from
        another node, and is checked when this one runs.
        """
        try:
            Options(
                start_percent=0.0 if start_percent is None else start_percent,
                end_percent=1.0 if end_percent is None else end_percent,
                warmup_steps=_chosen(warmup_steps),
                last_steps=_chosen(last_steps),
                max_consecutive_skips=_chosen(max_consecutive_skips),
                alternating=bool(alternating),
                step_mask=step_mask or "",
            )
            steps = steps_ahead()
            if step_mask and steps is not None:
                require_length(step_mask, steps)
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
        alternating: bool = False,
        step_mask: str = "",
        cache_device: CacheDevice = "auto",
        cache_dtype: CacheDtype = "auto",
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
            alternating=alternating,
            step_mask=step_mask,
            cache_device=cache_device,
            cache_dtype=cache_dtype,
        )
        return io.NodeOutput(options)


def _chosen(value: int | None) -> int | None:
    return None if value == PRESET else value
