"""Step caching for diffusion transformers: what to reuse, when, and what happened.

Torch and the standard library only: nothing here knows ComfyUI. See docs/architecture.md.
"""

from .config import CacheConfig, Method, Options
from .errors import StepCacheError
from .fbcache import FBCache
from .identity import Identity, RunFacts
from .magcache import Curve, MagCache
from .run import Run
from .schedule import Schedule
from .teacache import Fit, TeaCache

__all__ = [
    "CacheConfig",
    "Curve",
    "FBCache",
    "Fit",
    "Identity",
    "MagCache",
    "Method",
    "Options",
    "Run",
    "RunFacts",
    "Schedule",
    "StepCacheError",
    "TeaCache",
]
