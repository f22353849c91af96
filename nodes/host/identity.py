"""Which Wan a model is, as far as its architecture tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...cache_core import StepCacheError
from ...cache_core.presets import Size

SIZES: dict[tuple[int, int], Size] = {(1536, 30): "1.3B", (5120, 40): "14B", (3072, 30): "5B"}
"""Parameters by (dim, layers) of the published Wan 2.1 and 2.2 models."""


@dataclass(frozen=True)
class WanModel:
    """A recognised Wan.

    size: ``1.3B``, ``5B``, ``14B``, or ``other`` for dimensions nobody published.
    kind: the host's model type: t2v, i2v, vace, camera, s2v, animate, ...
    """

    size: Size
    kind: str
    dim: int
    layers: int

    @property
    def label(self) -> str:
        """Its name in log lines and reports."""
        shape = "" if self.size != "other" else f" (dim {self.dim}, {self.layers} layers)"
        return f"Wan {self.kind.upper()} {self.size}{shape}"


def identify(model: Any) -> WanModel:
    """Recognise the Wan in a ModelPatcher; anything else raises StepCacheError."""
    diffusion_model = model.get_model_object("diffusion_model")
    if not is_wan(diffusion_model):
        raise StepCacheError(
            f"`model` is a {type(diffusion_model).__name__}, but Wan Step Cache works on Wan 2.1 "
            "and Wan 2.2 models only. Connect a Wan model, or remove the node."
        )
    config = model.model.model_config.unet_config
    dim, layers = config.get("dim", 0), len(diffusion_model.blocks)
    return WanModel(SIZES.get((dim, layers), "other"), config.get("model_type", "t2v"), dim, layers)


def is_wan(diffusion_model: Any) -> bool:
    """True for the host's WanModel and every class built on it.

    Told by the names of its classes, so that no model code of the host is imported.
    """
    return any(base.__name__ == "WanModel" for base in type(diffusion_model).__mro__)
