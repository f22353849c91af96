"""The nodes of the pack."""

from comfy_api.latest import ComfyExtension, io

from .fbcache import ApplyFBCache
from .options import StepCacheOptions


class WanStepCacheExtension(ComfyExtension):
    """Tells ComfyUI which nodes there are."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node, in the order of the menu."""
        return [ApplyFBCache, StepCacheOptions]
