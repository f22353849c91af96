"""What a calibration file says of the sampling it was measured in."""

from __future__ import annotations

from typing import Any

import comfy.samplers
import comfyui_version
import torch

from ...cache_core.version import VERSION
from .facts import sampler_name
from .wrappers import LATENT, SAMPLER


def facts_for_file(run: Any) -> dict[str, Any]:
    """Plain values, nothing that differs between two equal samplings."""
    sampling = run.guider.model_patcher.get_model_object("model_sampling")
    latent = run.args[LATENT]
    return {
        "variant": run.identity.variant.name,
        "identity": run.identity.label,
        "steps": len(run.sigmas) - 1,
        "shift": getattr(sampling, "shift", None),
        "sampler": sampler_name(run.args[SAMPLER]).removeprefix("sample_"),
        "scheduler": scheduler_name(sampling, run.sigmas, run.facts.steps),
        "cfg": run.facts.cfg,
        "width": run.facts.width,
        "height": run.facts.height,
        "frames": (latent.shape[2] - 1) * 4 + 1,
        "batch": latent.shape[0],
        "dtype": str(run.guider.model_patcher.model.get_dtype_inference()).removeprefix("torch."),
        "pack": VERSION,
        "comfyui": comfyui_version.__version__,
    }


def scheduler_name(sampling: Any, sigmas: list[float], steps: float | None) -> str:
    """The host's scheduler that makes these sigmas, or all of whose sigmas they are a part.

    ``custom`` when none does. steps: of the whole schedule, as estimated from the sigmas.
    """
    wanted = torch.tensor(sigmas)
    for name in comfy.samplers.SCHEDULER_NAMES:
        for count in {len(sigmas) - 1, round(steps or 0)}:
            if count and _part_of(wanted, comfy.samplers.calculate_sigmas(sampling, name, count)):
                return name
    return "custom"


def _part_of(wanted: torch.Tensor, whole: torch.Tensor) -> bool:
    starts = range(len(whole) - len(wanted) + 1)
    return any(
        torch.allclose(whole[start : start + len(wanted)].cpu().float(), wanted, atol=1e-4)
        for start in starts
    )
