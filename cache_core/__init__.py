"""Step caching for diffusion transformers: what to reuse, when, and what happened.

Torch and the standard library only: nothing here knows ComfyUI. See docs/architecture.md.
"""

from .config import CacheConfig, Method, Options
from .errors import StepCacheError
from .fbcache import FBCache
from .run import Run
from .schedule import Schedule

__all__ = ["CacheConfig", "FBCache", "Method", "Options", "Run", "Schedule", "StepCacheError"]
