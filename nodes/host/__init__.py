"""The only part of the pack that knows ComfyUI: everything it relies on in the host is here."""

from .attach import attach, recognise
from .loader import file_name
from .queued import listen, steps_ahead

__all__ = ["attach", "file_name", "listen", "recognise", "steps_ahead"]
