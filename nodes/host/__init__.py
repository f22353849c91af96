"""The only part of the pack that knows ComfyUI: everything it relies on in the host is here."""

from .attach import attach, recognise

__all__ = ["attach", "recognise"]
