"""Calibration files: one safetensors file, written at once or not at all, checked when read.

Tensors are named ``<section>.<branch>.<what>``; the metadata is one JSON text, since several keys
would be written in any order and the same calibration has to give the same bytes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .calibration import BRANCHES, Calibration, Section
from .errors import StepCacheError
from .fitting import PolynomialFit
from .identity import Identity

FORMAT = 1
KEY = "wan_step_cache"
AGAIN = "Calibrate this model again, or choose another file."


@dataclass
class Content:
    """A file as it is: its header (format, model, sections) and its tensors by name."""

    header: dict[str, Any]
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @property
    def sections(self) -> dict[str, Any]:
        """Facts of every section, by its name."""
        found: dict[str, Any] = self.header["sections"]
        return found

    def merge(self, section: str, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Put a section in, in place of one of its name."""
        kept = {k: v for k, v in self.tensors.items() if not k.startswith(f"{section}.")}
        self.tensors = {**kept, **{f"{section}.{name}": t for name, t in tensors.items()}}
        self.sections[section] = facts


def empty(identity: Identity) -> Content:
    """A file without sections for the architecture of this model."""
    return Content({"format": FORMAT, "model": _architecture(identity), "sections": {}})


def existing(path: Path, identity: Identity) -> Content | None:
    """What a file already says of this model's architecture; None if there is none to add to."""
    if not path.exists():
        return None
    content = read_content(path)
    return content if content.header["model"] == _architecture(identity) else None


def write(path: Path, content: Content) -> None:
    """Write the file under another name, then put it in place: readers see the old or the new."""
    header = json.dumps(content.header, sort_keys=True)
    data = save(dict(sorted(content.tensors.items())), {KEY: header})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path) -> Calibration:
    """A calibration, checked; StepCacheError says what is wrong with the file, and the remedy."""
    content = read_content(path)
    model = content.header["model"]
    sections = tuple(
        _section(path, content, name, facts) for name, facts in sorted(content.sections.items())
    )
    _need(bool(sections), path, "holds no calibration")
    return Calibration(path.name, model["kind"], model["dim"], model["layers"], sections)


def read_content(path: Path) -> Content:
    """The header and tensors of a file; StepCacheError if it is not one of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(KEY, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise StepCacheError(
            f"Calibration {path.name!r} cannot be read: {error}. {AGAIN}"
        ) from error
    known = header.get("format") if isinstance(header, dict) else None
    _need(known is not None, path, "is a safetensors file, but no calibration of this pack")
    _need(known == FORMAT, path, f"has format {known}, but this version reads {FORMAT}")
    _need(_is_whole(header), path, "has a header without model or sections")
    return Content(header, tensors)


def _is_whole(header: dict[str, Any]) -> bool:
    model, sections = header.get("model"), header.get("sections")
    if not isinstance(model, dict) or not isinstance(sections, dict):
        return False
    known = all(name in model for name in ("kind", "dim", "layers"))
    return known and all(isinstance(facts, dict) for facts in sections.values())


def _section(path: Path, content: Content, name: str, facts: dict[str, Any]) -> Section:
    def values(what: str, count: int | None = None) -> tuple[float, ...]:
        tensor = content.tensors.get(f"{name}.{what}")
        if tensor is None or tensor.ndim != 1 or count not in (None, len(tensor)):
            shape = None if tensor is None else list(tensor.shape)
            raise _wrong(path, f"has {name}.{what} of shape {shape}, not [{count or 'steps'}]")
        _need(
            bool(torch.isfinite(tensor).all()), path, f"has numbers in {name}.{what} that are none"
        )
        return tuple(tensor.double().tolist())

    def fit(signal: str) -> PolynomialFit | None:
        if f"{name}.{signal}.coefficients" not in content.tensors:
            return None
        low, high = values(f"{signal}.fit_range", 2)
        return PolynomialFit(
            values(f"{signal}.coefficients"), low, high, values(f"{signal}.r_squared", 1)[0]
        )

    sigmas = values("sigmas")
    falling = all(before > after for before, after in pairwise(sigmas))
    _need(len(sigmas) > 1 and falling, path, f"has {name}.sigmas that do not fall")
    cond, uncond = (f"{branch}.mag_ratio" for branch in BRANCHES)
    present = [cond, uncond] if f"{name}.{uncond}" in content.tensors else [cond]
    ratios = tuple(values(what, len(sigmas)) for what in present)
    _need(min(map(min, ratios)) > 0, path, f"has ratios in {name} that are not positive")
    return Section(name, str(facts.get("variant")), sigmas, ratios, fit("e"), fit("e0"))


def _architecture(identity: Identity) -> dict[str, Any]:
    return {"kind": identity.kind, "dim": identity.dim, "layers": identity.layers}


def _wrong(path: Path, what: str) -> StepCacheError:
    return StepCacheError(f"Calibration {path.name!r} {what}. {AGAIN}")


def _need(condition: bool, path: Path, what: str) -> None:
    if not condition:
        raise _wrong(path, what)
