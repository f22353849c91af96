"""The only part of the pack that knows ComfyUI: everything it relies on in the host is here."""

from .attach import attach, recognise
from .loader import file_name

__all__ = ["attach", "file_name", "recognise"]
