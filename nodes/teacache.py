"""Apply TeaCache."""

from typing import Any

from comfy_api.latest import io

from ..cache_core import Options
from ..cache_core.teacache_presets import TeaCacheChoice
from ..cache_core.variants import FAMILIES
from ..cache_core.vocabulary import PresetName
from . import inputs
from .apply import apply
from .host import calibration_files

PUBLISHED, RAW = "auto", "none"


class ApplyTeaCache(io.ComfyNode):
    """TeaCache on a Wan model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as ComfyUI shows it."""
        return io.Schema(
            node_id="WanStepCache_TeaCache",
            display_name="Apply TeaCache",
            category=inputs.CATEGORY,
            description="Speeds up Wan video sampling: steps are reused while the change that the "
            "timestep alone predicts adds up to little. The whole plan is known before the first "
            "step and costs nothing to follow.",
            search_aliases=[*inputs.FASTER, "TeaCache", "rel_l1_thresh", "timestep embedding"],
            inputs=[
                inputs.model(),
                inputs.preset(),
                *_numbers(),
                _coefficients(),
                inputs.low_noise_model(),
                inputs.options(),
            ],
            outputs=inputs.outputs(),
            **inputs.OWN_RUNS,
        )

    @classmethod
    def fingerprint_inputs(cls, coefficients: str = PUBLISHED, **others: Any) -> str:
        """Another fingerprint when the calibration file has changed."""
        return calibration_files.fingerprint(coefficients)

    @classmethod
    def execute(
        cls,
        model: Any,
        preset: PresetName,
        rel_l1_thresh: float,
        use_ret_steps: bool,
        model_variant: str = "auto",
        coefficients: str = PUBLISHED,
        low_noise_model: Any | None = None,
        options: Options | None = None,
    ) -> io.NodeOutput:
        """Patch one or both experts."""
        chosen = coefficients not in (PUBLISHED, RAW)
        choice = TeaCacheChoice(
            preset,
            rel_l1_thresh,
            use_ret_steps,
            fitted=coefficients != RAW,
            calibration=calibration_files.load(coefficients, "coefficients") if chosen else None,
            node_id=cls.hidden.unique_id,
        )
        return apply(choice, cls, model, low_noise_model, options, model_variant)


def _numbers() -> list[io.Input]:
    return [
        io.Float.Input(
            "rel_l1_thresh",
            extra_dict=inputs.CUSTOM_ONLY,
            default=0.2,
            min=0.0,
            max=10.0,
            step=0.001,
            round=0.0001,
            tooltip="With preset custom: predicted change of the output, added up since the last "
            "computed step, below which a step is reused. Wan 1.3B 0.05-0.10, 14B 0.10-0.20, I2V "
            "0.13-0.30; ten times less with coefficients none.",
        ),
        io.Boolean.Input(
            "use_ret_steps",
            default=True,
            tooltip="On: predict from the projected time embedding and compute the first 5 steps. "
            "Off: predict from the time embedding and compute the first and the last step; better "
            "on Wan 2.1 T2V 1.3B.",
        ),
        inputs.model_variant(FAMILIES),
    ]


def _coefficients() -> io.Input:
    return io.Combo.Input(
        "coefficients",
        options=[PUBLISHED, RAW, *calibration_files.names()],
        default=PUBLISHED,
        optional=True,
        advanced=True,
        tooltip="auto takes the polynomial published for this model or the one most alike, none "
        "the raw signal, a file the polynomial that MagCache Calibrate fitted.",
    )
