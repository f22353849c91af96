"""Apply CustomCache."""

from typing import Any, get_args

from comfy_api.latest import io

from ..cache_core import Options
from ..cache_core.customcache_presets import CustomCacheChoice
from ..cache_core.variants import FAMILIES
from ..cache_core.vocabulary import PresetName, TimeAxis
from . import inputs
from .apply import apply


class ApplyCustomCache(io.ComfyNode):
    """CustomCache on a Wan model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as ComfyUI shows it."""
        return io.Schema(
            node_id="WanStepCache_CustomCache",
            display_name="Apply CustomCache",
            category=inputs.CATEGORY,
            description="Speeds up Wan video sampling: TeaCache decides which steps are computed, "
            "the others are extrapolated, which bears higher thresholds than plain reuse.",
            search_aliases=[*inputs.FASTER, "CustomCache", "LightX2V", "TeaCache", "TaylorSeer"],
            inputs=[
                inputs.model(),
                inputs.preset(),
                _threshold(),
                inputs.max_order(),
                inputs.model_variant(FAMILIES),
                _axis(),
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
        rel_l1_thresh: float,
        max_order: int,
        model_variant: str = "auto",
        time_axis: TimeAxis = "logsnr",
        low_noise_model: Any | None = None,
        options: Options | None = None,
    ) -> io.NodeOutput:
        """Patch one or both experts."""
        node_id = cls.hidden.unique_id
        choice = CustomCacheChoice(preset, rel_l1_thresh, max_order, time_axis, node_id=node_id)
        return apply(choice, cls, model, low_noise_model, options, model_variant)


def _threshold() -> io.Input:
    return io.Float.Input(
        "rel_l1_thresh",
        extra_dict=inputs.CUSTOM_ONLY,
        default=0.26,
        min=0.0,
        max=10.0,
        step=0.001,
        round=0.0001,
        tooltip="With preset custom: predicted change of the output, added up since the last "
        "computed step, below which a step is extrapolated. 0.26 is LightX2V's on every model.",
    )


def _axis() -> io.Input:
    return io.Combo.Input(
        "time_axis",
        options=list(get_args(TimeAxis)),
        default="logsnr",
        optional=True,
        advanced=True,
        tooltip="What the extrapolation runs along: the step, sigma, or log-SNR, which stays "
        "stable over long gaps.",
    )
