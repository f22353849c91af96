"""The nodes of the pack."""

import logging

from comfy_api.latest import ComfyExtension, io

from ..cache_core.version import VERSION
from .adacache import ApplyAdaCache
from .calibrate import MagCacheCalibrate
from .cfgcache import ApplyCFGCache
from .compare import StepCacheCompare
from .customcache import ApplyCustomCache
from .easycache import ApplyEasyCache
from .fbcache import ApplyFBCache
from .host import listen
from .magcache import ApplyMagCache
from .options import StepCacheOptions
from .report import StepCacheReport
from .taylorseer import ApplyTaylorSeer
from .teacache import ApplyTeaCache

log = logging.getLogger(__name__)


class WanStepCacheExtension(ComfyExtension):
    """Tells ComfyUI which nodes there are."""

    async def on_load(self) -> None:
        """Once, before the nodes are asked for."""
        log.info("Wan Step Cache %s", VERSION)
        listen()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node, in the order of the menu."""
        return [
            ApplyFBCache,
            ApplyTeaCache,
            ApplyMagCache,
            ApplyTaylorSeer,
            ApplyAdaCache,
            ApplyCustomCache,
            ApplyEasyCache,
            ApplyCFGCache,
            MagCacheCalibrate,
            StepCacheOptions,
            StepCacheReport,
            StepCacheCompare,
        ]
