"""The test-only nodes: words to CONDITIONING, and LATENT to IMAGE."""

import torch
from comfy.latent_formats import Wan21
from comfy_api.latest import ComfyExtension, io

from .codec import picture
from .words import VOCABULARY, embed

CATEGORY = "testing"


class TinyWanWords(io.ComfyNode):
    """A prompt of known words as CONDITIONING."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows and calls."""
        return io.Schema(
            node_id="TinyWanWords",
            display_name="Tiny Wan Words",
            category=CATEGORY,
            description=f"Words: {', '.join(VOCABULARY)}. Leave empty for the negative.",
            inputs=[io.String.Input("text", default="red disc right fast")],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, text: str) -> io.NodeOutput:
        """Text -> one conditioning entry [1, K, TEXT_DIM]."""
        return io.NodeOutput([[embed(text), {}]])


class TinyWanDecode(io.ComfyNode):
    """The latent of a tiny Wan as frames."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows and calls."""
        return io.Schema(
            node_id="TinyWanDecode",
            display_name="Tiny Wan Decode",
            category=CATEGORY,
            description="One frame for each latent frame, eight times the latent's size.",
            inputs=[io.Latent.Input("samples")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, samples: dict) -> io.NodeOutput:
        """Samples [B, C, F, H, W] in the host's own units -> frames [B * F, 8H, 8W, 3]."""
        latents = Wan21().process_in(samples["samples"].cpu().float())
        frames = torch.cat([picture(latent) for latent in latents])
        return io.NodeOutput(frames.movedim(1, -1).contiguous())


class TinyWanExtension(ComfyExtension):
    """The pack, as the host sees it."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Both nodes."""
        return [TinyWanWords, TinyWanDecode]
