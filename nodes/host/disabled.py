"""What the nodes do on a host that lacks something: hand their models on, and say why."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ...cache_core import Identity
from ...cache_core.overview import Overview
from ...cache_core.variants import variants_of

log = logging.getLogger(__name__)
REMEDY = (
    "Until then its nodes hand their models on unchanged, and nothing is cached. Update Wan Step "
    "Cache, or if it is up to date tell its authors and go back to the ComfyUI you had."
)
NOT_CACHED = "Wan Step Cache: nothing is cached, since this ComfyUI lacks what the pack relies on"


def explain(missing: Sequence[str]) -> None:
    """Tell once, when ComfyUI starts, what is wrong."""
    wrong = "; ".join(missing)
    log.error("Wan Step Cache does not know this ComfyUI (%s): %s. %s", version(), wrong, REMEDY)


def version() -> str:
    """The host's, as far as it can be told."""
    try:
        from comfyui_version import __version__  # noqa: PLC0415  (it may be what is missing)
    except ImportError:
        return "version unknown"
    return str(__version__)


def attach(model: Any, *unused: Any) -> Any:
    """The model itself."""
    log.warning(NOT_CACHED)
    return model


calibrated = attach


def recognise(model: Any, *unused: Any) -> Identity:
    """Nothing is known of it."""
    return Identity("other", "t2v", 0, 0, variants_of("t2v", "other", 16, False))


def file_name(*unused: Any) -> None:
    """Nothing is known of it."""


def overview_of(model: Any) -> Overview:
    """There is nothing to tell."""
    return Overview(note=NOT_CACHED)


def listen() -> None:
    """Nobody needs to hear of prompts."""


def steps_ahead() -> None:
    """Nothing is known of them."""
