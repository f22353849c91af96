"""Apply FBCache."""

from typing import Any, get_args

from comfy_api.latest import io

from ..cache_core import Options
from ..cache_core.fbcache_presets import FBCacheChoice
from ..cache_core.vocabulary import Metric, PresetName
from . import inputs
from .apply import apply


class ApplyFBCache(io.ComfyNode):
    """First Block Cache on a Wan model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as ComfyUI shows it."""
        return io.Schema(
            node_id="WanStepCache_FBCache",
            display_name="Apply FBCache",
            category=inputs.CATEGORY,
            description="Speeds up Wan video sampling: at every step the first block of the model "
            "runs, and if it changed little since the last computed step, the other blocks are "
            "skipped and their result is reused.",
            search_aliases=[
                *inputs.FASTER,
                *("FBCache", "first block cache", "FBC", "residual_diff_threshold"),
            ],
            inputs=[
                inputs.model(),
                inputs.preset(),
                _threshold(),
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
        residual_diff_threshold: float,
        metric: Metric = "residual_rel_l1",
        downsample: int = 8,
        ema: float = 0.0,
        low_noise_model: Any | None = None,
        options: Options | None = None,
    ) -> io.NodeOutput:
        """Patch one or both experts."""
        node_id = cls.hidden.unique_id
        choice = FBCacheChoice(
            preset, residual_diff_threshold, metric, downsample, ema, node_id=node_id
        )
        return apply(choice, cls, model, low_noise_model, options)


def _threshold() -> io.Input:
    return io.Float.Input(
        "residual_diff_threshold",
        extra_dict=inputs.CUSTOM_ONLY,
        default=0.08,
        min=0.0,
        max=1.0,
        step=0.001,
        round=0.0001,
        tooltip="With preset custom: relative change of the first block below which a "
        "step is reused (Wan 14B 0.05-0.12, Wan 1.3B 0.03-0.06). Higher is faster and "
        "less exact; 0 reuses nothing and measures only.",
    )


def _advanced() -> list[io.Input]:
    return [
        io.Combo.Input(
            "metric",
            options=list(get_args(Metric)),
            default="residual_rel_l1",
            optional=True,
            advanced=True,
            tooltip="What is compared: what the first block adds to its input "
            "(residual_rel_l1), or its output by mean absolute (hidden_rel_l1) or root "
            "mean square change (hidden_rel_l2).",
        ),
        io.Int.Input(
            "downsample",
            default=8,
            min=1,
            max=64,
            optional=True,
            advanced=True,
            tooltip="Compare every n-th token. Higher needs less memory and time, "
            "and makes the metric a mean over fewer values.",
        ),
        io.Float.Input(
            "ema",
            default=0.0,
            min=0.0,
            max=0.99,
            step=0.01,
            optional=True,
            advanced=True,
            tooltip="Smooths the metric over steps: the weight of its past, 0 for none.",
        ),
    ]
