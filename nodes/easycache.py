"""Apply EasyCache."""

from typing import Any

from comfy_api.latest import io

from ..cache_core import Options
from ..cache_core.easycache_presets import EasyCacheChoice
from ..cache_core.vocabulary import PresetName
from . import inputs
from .apply import apply


class ApplyEasyCache(io.ComfyNode):
    """EasyCache on a Wan model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as ComfyUI shows it."""
        return io.Schema(
            node_id="WanStepCache_EasyCache",
            display_name="Apply EasyCache",
            category=inputs.CATEGORY,
            description="Speeds up Wan video sampling: steps are reused while the change of the "
            "latent, times how strongly the model last answered to it, adds up to little.",
            search_aliases=[*inputs.FASTER, "EasyCache", "LazyCache", "reuse_threshold"],
            inputs=[
                inputs.model(),
                inputs.preset(),
                io.Float.Input(
                    "reuse_threshold",
                    extra_dict=inputs.CUSTOM_ONLY,
                    default=0.05,
                    min=0.0,
                    max=10.0,
                    step=0.001,
                    round=0.0001,
                    tooltip="With preset custom: predicted change of the output, added up since "
                    "the last computed step, below which a step is reused (0.03 to 0.1).",
                ),
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
        reuse_threshold: float,
        low_noise_model: Any | None = None,
        options: Options | None = None,
    ) -> io.NodeOutput:
        """Patch one or both experts."""
        choice = EasyCacheChoice(preset, reuse_threshold, node_id=cls.hidden.unique_id)
        return apply(choice, cls, model, low_noise_model, options)
