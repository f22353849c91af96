"""The published Wans by name, and which of them a model can be."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .vocabulary import Size


@dataclass(frozen=True)
class Variant:
    """One published Wan.

    name: as in traces and calibration files. generation: ``2.1`` or ``2.2``.
    resolution: ``480p`` or ``720p`` where a model exists for each. expert: ``high`` or ``low`` of a
    pair. The last three are None where they tell nothing.
    """

    name: str
    label: str
    generation: str | None = None
    resolution: str | None = None
    expert: str | None = None

    @property
    def family(self) -> str:
        """Its name without the expert: what both models of a pair share."""
        return self.name.removesuffix(f"_{self.expert}")


def _variant(name: str, resolution: str | None = None, expert: str | None = None) -> Variant:
    generation = re.match(r"wan(2\.\d)", name)
    words = name.replace("wan", "Wan ").split("_")
    plain = [w.upper() if w in ("t2v", "i2v", "ti2v", "flf2v", "vace", "s2v") else w for w in words]
    noise = f" {expert} noise" if expert else ""
    label = " ".join(word for word in plain if word != expert) + noise
    return Variant(name, label, generation and generation.group(1), resolution, expert)


def _pair(name: str) -> tuple[Variant, Variant]:
    return (_variant(f"{name}_high", expert="high"), _variant(f"{name}_low", expert="low"))


T2V_1_3B = _variant("wan2.1_t2v_1.3B")
T2V_14B = _variant("wan2.1_t2v_14B")
I2V_480P = _variant("wan2.1_i2v_480p_14B", resolution="480p")
I2V_720P = _variant("wan2.1_i2v_720p_14B", resolution="720p")
FLF2V = _variant("wan2.1_flf2v_14B")
VACE_1_3B = _variant("wan2.1_vace_1.3B")
VACE_14B = _variant("wan2.1_vace_14B")
TI2V_5B = _variant("wan2.2_ti2v_5B")
T2V_A14B = _pair("wan2.2_t2v_A14B")
I2V_A14B = _pair("wan2.2_i2v_A14B")

PUBLISHED: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        *(T2V_1_3B, T2V_14B, I2V_480P, I2V_720P, FLF2V, VACE_1_3B, VACE_14B),
        *(TI2V_5B, *T2V_A14B, *I2V_A14B),
    )
}
"""The Wans with constants or neighbours of their own, by name."""

FAMILIES = tuple(dict.fromkeys(variant.family for variant in PUBLISHED.values()))
"""What ``model_variant`` offers."""

BY_SHAPE: dict[tuple[str, Size, int], tuple[Variant, ...]] = {
    ("t2v", "1.3B", 16): (T2V_1_3B,),
    ("t2v", "14B", 16): (T2V_14B, *T2V_A14B),
    ("i2v", "14B", 36): (I2V_480P, I2V_720P),
    ("t2v", "14B", 36): I2V_A14B,
    ("t2v", "5B", 48): (TI2V_5B,),
}
"""Possible variants by (model type, size, input channels), the likeliest first."""


def variants_of(kind: str, size: Size, channels: int, last_frame: bool) -> tuple[Variant, ...]:
    """The variants a model of this shape can be, the likeliest first.

    kind: the host's model type. channels: of the model's input. last_frame: it also takes the last
    frame of the clip (FLF2V). Other models are a variant of their own, known by kind and size, and
    may be one expert of a pair.
    """
    if kind == "vace" and size in ("1.3B", "14B"):
        return (VACE_1_3B if size == "1.3B" else VACE_14B,)
    if kind == "i2v" and size == "14B" and last_frame:
        return (FLF2V,)
    return BY_SHAPE.get((kind, size, channels)) or _unpublished(kind, size)


KIND_LABELS = {
    "t2v": "T2V",
    "i2v": "I2V",
    "vace": "VACE",
    "camera": "Camera",
    "camera_2.2": "2.2 Camera",
    "s2v": "S2V",
    "humo": "HuMo",
    "animate": "Animate",
    "scail": "SCAIL",
    "scail2": "SCAIL-2",
    "wandancer": "WanDancer",
    "flow_rvs": "FlowRVS",
}
"""The host's model types as people write them."""


def _unpublished(kind: str, size: Size) -> tuple[Variant, ...]:
    name, label = f"wan_{kind}_{size}", f"Wan {KIND_LABELS.get(kind, kind.upper())} {size}"
    experts = [Variant(f"{name}_{e}", f"{label} {e} noise", expert=e) for e in ("high", "low")]
    return (Variant(name, label), *experts)
