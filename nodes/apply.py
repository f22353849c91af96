"""What every Apply node does with its models."""

from typing import Any

from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..cache_core import Identity, Options
from ..cache_core.config import Choice
from ..cache_core.errors import require_one_of
from ..cache_core.variants import FAMILIES
from .host import attach, file_name, recognise

MISSING_EXPERT = (
    "The second output of the node is in use, but nothing is connected to its `low_noise_model` "
    "input. Connect the low-noise expert there, or use the first output."
)


def apply(
    choice: Choice,
    node: type[io.ComfyNode],
    model: Any,
    low_noise_model: Any | None,
    options: Options | None,
    model_variant: str = "auto",
) -> io.NodeOutput:
    """Add a method, with the numbers right for each model, to one or both experts."""

    def cached(patcher: Any, identity: Identity) -> Any:
        return attach(patcher, identity, choice, options)

    return for_both(cached, node, model, low_noise_model, model_variant)


def for_both(
    patch: Any,
    node: type[io.ComfyNode],
    model: Any,
    low_noise_model: Any | None,
    model_variant: str = "auto",
) -> io.NodeOutput:
    """``patch(model, identity)`` for one or both experts, as the outputs of a node."""
    require_one_of("model_variant", model_variant, ("auto", *FAMILIES))
    known = identity_of(node, model, "model").overridden(model_variant)
    if low_noise_model is None:
        return io.NodeOutput(patch(model, known), ExecutionBlocker(MISSING_EXPERT))
    low = identity_of(node, low_noise_model, "low_noise_model").overridden(model_variant)
    return io.NodeOutput(
        patch(model, known.placed("high")), patch(low_noise_model, low.placed("low"))
    )


def identity_of(node: type[io.ComfyNode], model: Any, slot: str) -> Identity:
    """Which Wan comes into an input of the node: by its architecture, then by its file's name."""
    hidden = node.hidden
    file = file_name(model, hidden.prompt, hidden.unique_id, slot)
    return recognise(model, slot).named(file)
