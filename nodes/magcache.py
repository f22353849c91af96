"""Apply MagCache."""

from typing import Any

from comfy_api.latest import io

from ..cache_core import Options
from ..cache_core.magcache_presets import MagCacheChoice
from ..cache_core.published import published
from ..cache_core.vocabulary import PresetName
from . import inputs
from .apply import apply
from .host import calibration_files

AUTO = "auto"


class ApplyMagCache(io.ComfyNode):
    """MagCache on a Wan model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as ComfyUI shows it."""
        return io.Schema(
            node_id="WanStepCache_MagCache",
            display_name="Apply MagCache",
            category=inputs.CATEGORY,
            description="Speeds up Wan video sampling: steps are reused while the magnitude of "
            "what the model adds, measured once per model, is known to change little. The whole "
            "plan is known before the first step and costs nothing to follow.",
            search_aliases=[*inputs.FASTER, "MagCache", "mag ratio", "magnitude"],
            inputs=[
                inputs.model(),
                inputs.preset(),
                *_numbers(),
                _calibration(),
                inputs.low_noise_model(),
                inputs.options(),
            ],
            outputs=inputs.outputs(),
            **inputs.OWN_RUNS,
        )

    @classmethod
    def fingerprint_inputs(cls, calibration: str = AUTO, **others: Any) -> str:
        """Another fingerprint when the calibration file has changed."""
        return calibration_files.fingerprint(calibration)

    @classmethod
    def execute(
        cls,
        model: Any,
        preset: PresetName,
        magcache_thresh: float,
        magcache_K: int,
        retention_ratio: float,
        calibration: str = AUTO,
        low_noise_model: Any | None = None,
        options: Options | None = None,
    ) -> io.NodeOutput:
        """Patch one or both experts."""
        built_in = calibration == AUTO or calibration in published("magcache")
        choice = MagCacheChoice(
            preset,
            magcache_thresh,
            magcache_K,
            retention_ratio,
            curve=calibration if built_in else AUTO,
            calibration=None if built_in else calibration_files.load(calibration, "calibration"),
            node_id=cls.hidden.unique_id,
        )
        return apply(choice, cls, model, low_noise_model, options)


def _numbers() -> list[io.Input]:
    return [
        io.Float.Input(
            "magcache_thresh",
            extra_dict=inputs.CUSTOM_ONLY,
            default=0.12,
            min=0.0,
            max=10.0,
            step=0.001,
            round=0.0001,
            tooltip="E, with preset custom: error added up since the last computed step, below "
            "which a step is reused (0.04 to 0.24).",
        ),
        io.Int.Input(
            "magcache_K",
            extra_dict=inputs.CUSTOM_ONLY,
            default=4,
            min=0,
            max=50,
            tooltip="K, with preset custom: reused steps in a row at most (2 to 6); 0 reuses none.",
        ),
        io.Float.Input(
            "retention_ratio",
            extra_dict=inputs.CUSTOM_ONLY,
            default=0.2,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="R, with preset custom: share of the steps that is always computed at the "
            "start, one step at least. Early steps decide layout and motion.",
        ),
    ]


def _calibration() -> io.Input:
    return io.Combo.Input(
        "calibration",
        options=[AUTO, *published("magcache"), *calibration_files.names()],
        default=AUTO,
        optional=True,
        tooltip="auto: the ratios published for this model, or for the one most alike. Else those "
        "published for a model, or a file that MagCache Calibrate wrote.",
    )
