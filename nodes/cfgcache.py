"""Apply CFG Cache."""

from typing import Any

from comfy_api.latest import io

from ..cache_core import Options, StepCacheError
from ..cache_core.cfgcache import MOST, CFGCache
from ..cache_core.cfgcache_presets import CFGCacheChoice
from ..cache_core.vocabulary import PresetName
from . import inputs
from .apply import apply


class ApplyCFGCache(io.ComfyNode):
    """CFG Cache on a Wan model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as ComfyUI shows it."""
        return io.Schema(
            node_id="WanStepCache_CFGCache",
            display_name="Apply CFG Cache",
            category=inputs.CATEGORY,
            description="Speeds up Wan video sampling with CFG above 1: at up to half of the steps "
            "only the positive prompt runs, and the negative one is made of it and of their last "
            "known difference. Works alone and together with the other Apply nodes.",
            search_aliases=[
                *inputs.FASTER,
                *("CFG cache", "CFG", "FasterCache", "negative prompt", "guidance"),
            ],
            inputs=[
                inputs.model(),
                inputs.preset(),
                *_numbers(),
                _weight("low_frequency_weight", "low"),
                _weight("high_frequency_weight", "high"),
                inputs.low_noise_model(),
                inputs.options(),
            ],
            outputs=inputs.outputs(),
            **inputs.OWN_RUNS,
        )

    @classmethod
    def validate_inputs(
        cls, interval: int | None, start_percent: float | None, end_percent: float | None
    ) -> bool | str:
        """Refuse an empty window or a wrong interval before anything is queued.

        The host leaves the ranges of the inputs named here to this check. None: a value comes from
        another node, and is checked when this one runs.
        """
        try:
            CFGCache(
                1 if interval is None else interval,
                0.0 if start_percent is None else start_percent,
                1.0 if end_percent is None else end_percent,
            )
        except StepCacheError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        model: Any,
        preset: PresetName,
        interval: int,
        start_percent: float,
        end_percent: float,
        low_frequency_weight: float = 1.0,
        high_frequency_weight: float = 1.0,
        low_noise_model: Any | None = None,
        options: Options | None = None,
    ) -> io.NodeOutput:
        """Patch one or both experts."""
        numbers = (interval, start_percent, end_percent)
        weights = (low_frequency_weight, high_frequency_weight)
        choice = CFGCacheChoice(preset, *numbers, *weights, node_id=cls.hidden.unique_id)
        return apply(choice, cls, model, low_noise_model, options)


def _numbers() -> list[io.Input]:
    return [
        io.Int.Input(
            "interval",
            extra_dict=inputs.CUSTOM_ONLY,
            default=3,
            min=1,
            max=MOST,
            tooltip="With preset custom: of so many computed steps one runs the negative prompt "
            "too; 1 runs it always.",
        ),
        io.Float.Input(
            "start_percent",
            extra_dict=inputs.CUSTOM_ONLY,
            default=0.3,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="With preset custom: from this part of the whole schedule on, 0 to 1. Guidance "
            "of early steps decides the layout.",
        ),
        io.Float.Input(
            "end_percent",
            extra_dict=inputs.CUSTOM_ONLY,
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="With preset custom: up to this part of the whole schedule, 0 to 1.",
        ),
    ]


def _weight(name: str, band: str) -> io.Input:
    return io.Float.Input(
        name,
        default=1.0,
        min=0.0,
        max=2.0,
        step=0.01,
        optional=True,
        advanced=True,
        tooltip=f"What the {band} frequencies of the difference are multiplied by where it is "
        "reused (FasterCache: 1.0 to 1.2).",
    )
