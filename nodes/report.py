"""Step Cache Report."""

import json
import logging
from typing import Any

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ..cache_core.shield import shielded
from . import inputs
from .drawing import as_image, timeline
from .host import overview_of

log = logging.getLogger(__name__)
FAILED = "Wan Step Cache: the report could not be made; the latent is handed on as it is"


class StepCacheReport(io.ComfyNode):
    """What the cache did in the samplings of a model, as a picture, in words and in numbers."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as ComfyUI shows it."""
        return io.Schema(
            node_id="WanStepCache_Report",
            display_name="Step Cache Report",
            category=inputs.CATEGORY,
            description="Shows which steps of a sampling were computed and which were reused, why, "
            "and what that saved and cost, for all samplers and both experts of Wan 2.2. Put it "
            "behind the last sampler, whose latent it hands on unchanged.",
            search_aliases=[
                "timeline",
                "statistics",
                "cache report",
                "what was cached",
                "speed-up",
            ],
            inputs=[
                io.Latent.Input(
                    "latent",
                    tooltip="The latent from the sampler, which is then sure to have run. It is "
                    "handed on unchanged.",
                ),
                io.Model.Input(
                    "model",
                    tooltip="The model that the sampler uses, from an Apply node. Of the two "
                    "experts of Wan 2.2 either one: both are told of.",
                ),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="The latent as it came in."),
                io.Image.Output(display_name="timeline", tooltip="The picture, for Save Image."),
                io.String.Output(display_name="summary", tooltip="The same in words."),
                io.String.Output(display_name="json", tooltip="All of it for other programs."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, latent: dict[str, Any], model: Any) -> io.NodeOutput:
        """The latent, and what is known of its samplings; a report never costs a render."""
        told = shielded(
            lambda: _told(cls, model), lambda error: log.warning(FAILED, exc_info=error)
        )
        image, text, numbers, shown = told or (torch.zeros(1, 64, 64, 3), FAILED, "{}", {})
        return io.NodeOutput(latent, image, text, numbers, ui=shown)


def _told(node: type[io.ComfyNode], model: Any) -> tuple[Tensor, str, str, dict[str, Any]]:
    """Picture, words and numbers; what the node shows."""
    overview = overview_of(model)
    image, text = as_image(timeline(overview)), "\n".join(overview.lines)
    numbers = json.dumps(overview.as_json(), indent=1, allow_nan=False)
    preview, words = ui.PreviewImage(image, cls=node), ui.PreviewText(text)
    return image, text, numbers, {**preview.as_dict(), **words.as_dict()}
