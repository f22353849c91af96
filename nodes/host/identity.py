"""Which Wan a ModelPatcher holds, as far as its architecture tells."""

from __future__ import annotations

from typing import Any

from ...cache_core import Identity, StepCacheError
from ...cache_core.variants import variants_of
from ...cache_core.vocabulary import Size

SIZES: dict[tuple[int, int], Size] = {(1536, 30): "1.3B", (5120, 40): "14B", (3072, 30): "5B"}
"""Parameters by (dim, layers) of the published Wan 2.1 and 2.2 models."""


def identify(model: Any, slot: str) -> Identity:
    """Recognise the Wan in a ModelPatcher; anything else raises StepCacheError.

    slot: the input of the node that it comes from.
    """
    diffusion_model = original(model.get_model_object("diffusion_model"))
    if not is_wan(diffusion_model):
        raise StepCacheError(
            f"`{slot}` is a {type(diffusion_model).__name__}, but Wan Step Cache works on Wan 2.1 "
            "and Wan 2.2 models only. Connect a Wan model, or remove the node."
        )
    config = model.model.model_config.unet_config
    dim, layers = config.get("dim", 0), len(diffusion_model.blocks)
    kind, size = config.get("model_type", "t2v"), SIZES.get((dim, layers), "other")
    last_frame = config.get("flf_pos_embed_token_number") is not None
    variants = variants_of(kind, size, config.get("in_dim", 16), last_frame)
    return Identity(size, kind, dim, layers, variants)


def is_wan(diffusion_model: Any) -> bool:
    """True for the host's WanModel and every class built on it.

    Told by the names of its classes, so that no model code of the host is imported.
    """
    return any(base.__name__ == "WanModel" for base in type(original(diffusion_model)).__mro__)


def original(module: Any) -> Any:
    """The module that torch.compile made ``module`` of, or ``module`` itself."""
    return getattr(module, "_orig_mod", module)
