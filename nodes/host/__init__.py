"""The only part of the pack that knows ComfyUI: everything it relies on in the host is here."""

from . import contract, disabled

MISSING = contract.missing()
"""What this ComfyUI lacks; with anything in it, the nodes load and do nothing."""

if MISSING:
    disabled.explain(MISSING)
    from .disabled import (
        attach,
        calibrated,
        file_name,
        listen,
        overview_of,
        recognise,
        steps_ahead,
    )
else:
    from .archive import overview_of
    from .attach import attach, recognise
    from .calibrate import calibrated
    from .loader import file_name
    from .queued import listen, steps_ahead

__all__ = [
    "attach",
    "calibrated",
    "file_name",
    "listen",
    "overview_of",
    "recognise",
    "steps_ahead",
]
