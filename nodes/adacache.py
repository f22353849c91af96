"""Apply AdaCache."""

from typing import Any

from comfy_api.latest import io

from ..cache_core import Options, StepCacheError
from ..cache_core.adacache import parse_codebook
from ..cache_core.adacache_presets import OFFICIAL, AdaCacheChoice
from ..cache_core.vocabulary import PresetName
from . import inputs
from .apply import apply


class ApplyAdaCache(io.ComfyNode):
    """AdaCache on a Wan model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as ComfyUI shows it."""
        return io.Schema(
            node_id="WanStepCache_AdaCache",
            display_name="Apply AdaCache",
            category=inputs.CATEGORY,
            description="Speeds up Wan video sampling: how much a block in the middle of the model "
            "changed since the last computed step says how many steps are reused next.",
            search_aliases=[*inputs.FASTER, "AdaCache", "codebook", "adaptive cache", "MoReg"],
            inputs=[
                inputs.model(),
                inputs.preset(),
                _codebook(),
                *_advanced(),
                inputs.low_noise_model(),
                inputs.options(),
            ],
            outputs=inputs.outputs(),
            **inputs.OWN_RUNS,
        )

    @classmethod
    def validate_inputs(cls, codebook: str | None) -> bool | str:
        """Refuse a codebook that cannot be read before anything is queued.

        None: it comes from another node, and is checked when this one runs.
        """
        if codebook is None:
            return True
        try:
            parse_codebook(codebook)
        except StepCacheError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        model: Any,
        preset: PresetName,
        codebook: str,
        probe_block: int = -1,
        motion: bool = False,
        low_noise_model: Any | None = None,
        options: Options | None = None,
    ) -> io.NodeOutput:
        """Patch one or both experts."""
        node_id = cls.hidden.unique_id
        choice = AdaCacheChoice(preset, codebook, probe_block, motion, node_id=node_id)
        return apply(choice, cls, model, low_noise_model, options)


def _codebook() -> io.Input:
    return io.String.Input(
        "codebook",
        extra_dict=inputs.CUSTOM_ONLY,
        default=OFFICIAL["30 steps fast"][0],
        tooltip="With preset custom: pairs distance:interval, ascending. The first distance above "
        "the measured change per step gives the steps until the next computed one.",
    )


def _advanced() -> list[io.Input]:
    return [
        io.Int.Input(
            "probe_block",
            default=-1,
            min=-1,
            max=100,
            optional=True,
            advanced=True,
            tooltip="The block whose change is measured, counted from 0; -1 is the middle one.",
        ),
        io.Boolean.Input(
            "motion",
            default=False,
            optional=True,
            advanced=True,
            tooltip="Motion regularisation: multiply the change by how much neighbouring frames "
            "differ, so that fast scenes are reused less.",
        ),
    ]
