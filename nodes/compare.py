"""Step Cache Compare."""

import json

import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ..cache_core.comparison import as_json, compare, told
from . import inputs
from .drawing import as_image, clips_picture, heat


class StepCacheCompare(io.ComfyNode):
    """How much of a clip the cache changed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as ComfyUI shows it."""
        return io.Schema(
            node_id="WanStepCache_Compare",
            display_name="Step Cache Compare",
            category=inputs.CATEGORY,
            description="Compares two renders of the same seed, such as one without and one with "
            "the cache: side by side, as a heat map of their difference, and in numbers for every "
            "frame and for the whole clip.",
            search_aliases=["PSNR", "SSIM", "difference", "quality", "side by side", "flicker"],
            inputs=_inputs(),
            outputs=_outputs(),
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, reference: Tensor, candidate: Tensor, heat_map_range: float = 0.1
    ) -> io.NodeOutput:
        """Clips [frames, height, width, channels]; StepCacheError if their shapes differ."""
        reference, candidate = reference.cpu(), candidate.cpu()  # nodes may leave them elsewhere
        found = compare(reference, candidate)
        text, numbers = "\n".join(told(found)), json.dumps(as_json(found), allow_nan=False)
        picture = as_image(clips_picture(reference, candidate, found, heat_map_range))
        return io.NodeOutput(
            torch.cat([reference, candidate], dim=2),
            heat(reference, candidate, heat_map_range),
            *(found.psnr, found.ssim, found.temporal),
            *(text, numbers),
            ui={**ui.PreviewImage(picture, cls=cls).as_dict(), **ui.PreviewText(text).as_dict()},
        )


def _inputs() -> list[io.Input]:
    return [
        io.Image.Input(
            "reference",
            tooltip="Frames of the render that counts as right, as a rule the one without the "
            "cache.",
        ),
        io.Image.Input(
            "candidate",
            tooltip="Frames of the render to judge. Same seed, length, width and height as the "
            "reference.",
        ),
        io.Float.Input(
            "heat_map_range",
            default=0.1,
            min=0.001,
            max=1.0,
            step=0.01,
            round=0.001,
            optional=True,
            advanced=True,
            tooltip="Difference that the heat map shows brightest, of pixels in 0 to 1, mean over "
            "the colours. Lower shows smaller differences.",
        ),
    ]


def _outputs() -> list[io.Output]:
    return [
        io.Image.Output(
            display_name="side_by_side", tooltip="The reference on the left, the candidate right."
        ),
        io.Image.Output(
            display_name="heat_map", tooltip="Black: the same; bright: `heat_map_range` or more."
        ),
        io.Float.Output(
            display_name="psnr",
            tooltip="Peak signal-to-noise ratio of the clip in dB; 100 where nothing differs.",
        ),
        io.Float.Output(
            display_name="ssim", tooltip="Structural similarity, 1 where nothing differs."
        ),
        io.Float.Output(
            display_name="temporal_difference_error",
            tooltip="Mean difference of what changes from frame to frame, of pixels in 0 to 1; 0 "
            "where motion is the same.",
        ),
        io.String.Output(display_name="summary", tooltip="The numbers in words."),
        io.String.Output(display_name="json", tooltip="The numbers of every frame and the clip."),
    ]
