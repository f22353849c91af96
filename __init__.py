"""Wan Step Cache: faster Wan 2.1 / 2.2 video sampling in ComfyUI."""

from .nodes import WanStepCacheExtension

WEB_DIRECTORY = "./js"


async def comfy_entrypoint() -> WanStepCacheExtension:
    """Called once by ComfyUI when it loads the pack."""
    return WanStepCacheExtension()
