"""What every Apply node does with its models."""

from collections.abc import Callable
from typing import Any

from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..cache_core import Method, Options
from .host import attach, recognise
from .host.identity import WanModel

MISSING_EXPERT = (
    "The second output of the Apply node is in use, but nothing is connected to its "
    "`low_noise_model` input. Connect the low-noise expert there, or use the first output."
)


def apply(
    method_for: Callable[[WanModel], Method],
    model: Any,
    low_noise_model: Any | None,
    options: Options | None,
) -> io.NodeOutput:
    """Add a method, with the numbers right for each model, to one or both experts."""
    models = (model, low_noise_model)
    cached = [None if one is None else _attach(method_for, one, options) for one in models]
    return io.NodeOutput(cached[0], cached[1] or ExecutionBlocker(MISSING_EXPERT))


def _attach(method_for: Callable[[WanModel], Method], model: Any, options: Options | None) -> Any:
    wan = recognise(model)
    return attach(model, wan, method_for(wan), options)
