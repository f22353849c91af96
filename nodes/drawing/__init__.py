"""Pictures of what the cache did, drawn with PIL alone, so that no browser is needed for them."""

from .clips import clips_picture
from .heat import heat
from .image import as_image
from .timeline import timeline

__all__ = ["as_image", "clips_picture", "heat", "timeline"]
