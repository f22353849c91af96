"""MagCache Calibrate."""

from typing import Any

from comfy_api.latest import io

from ..cache_core import Identity
from . import inputs
from .apply import for_both
from .host import calibrated, calibration_files


class MagCacheCalibrate(io.ComfyNode):
    """Measures a Wan once, for MagCache and TeaCache."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as ComfyUI shows it."""
        return io.Schema(
            node_id="WanStepCache_MagCacheCalibrate",
            display_name="MagCache Calibrate",
            category=inputs.CATEGORY,
            description="Measures this model during one ordinary sampling, in which every step is "
            "computed, and writes a file that Apply MagCache and Apply TeaCache can choose.",
            search_aliases=[
                *("MagCache calibration", "calibrate", "mag ratios", "magnitude ratios"),
                *("TeaCache coefficients", "polynomial", "measure model", "step cache"),
            ],
            inputs=[
                inputs.model(),
                io.String.Input(
                    "name",
                    default="my_wan",
                    tooltip="Name of the file in the folder models/step_cache: "
                    f"{calibration_files.RULE}.",
                ),
                io.Boolean.Input(
                    "overwrite",
                    default=False,
                    tooltip="Replace what a file of this name holds for this model. Adding the "
                    "other expert of a pair to the file needs no overwrite.",
                ),
                inputs.low_noise_model(),
            ],
            outputs=inputs.outputs(),
            **inputs.OWN_RUNS,
        )

    @classmethod
    def validate_inputs(cls, name: str | None) -> bool | str:
        """Refuse a name that is no file name before anything is queued.

        None: it comes from another node, and is checked when this one runs.
        """
        return name is None or calibration_files.wrong_name(name) or True

    @classmethod
    def execute(
        cls, model: Any, name: str, overwrite: bool, low_noise_model: Any | None = None
    ) -> io.NodeOutput:
        """Patch one or both experts; the file is written when their sampler ends."""

        def measured(patcher: Any, identity: Identity) -> Any:
            return calibrated(patcher, identity, name, overwrite, cls.hidden.unique_id)

        return for_both(measured, cls, model, low_noise_model)
