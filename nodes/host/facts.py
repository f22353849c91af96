"""What a sampling of the host tells about itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...cache_core import RunFacts
from ...cache_core.identity import percent_of
from .keys import RIVAL_KEY
from .samplers import ADAPTIVE, ONE_EVALUATION, sampler_name, stages_of

ADDS_UP = frozenset({"sample_euler", "sample_dpmpp_2m", "sample_res_multistep"})
"""Functions of the host's samplers that add up the model's velocity times the step, or do nearly.

Found by trying on the tiny Wan: correction gains several dB on these, and nothing or less on
unipc, ipndm, lms and sa_solver, whose longer memory of outputs takes it for a change.
"""


ADDS_NOISE = frozenset(
    f"sample_{name}"
    for name in (
        *("lcm", "ddpm", "er_sde", "sa_solver", "sa_solver_pece", "seeds_2", "seeds_3"),
        *("euler_ancestral", "euler_ancestral_cfg_pp", "dpm_2_ancestral", "dpmpp_sde"),
        *("dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp", "dpmpp_sde_gpu", "dpmpp_2m_sde"),
        *("dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde"),
        *("dpmpp_3m_sde_gpu", "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp"),
        "exp_heun_2_x0_sde",
    )
)
"""Functions of the host's samplers that add fresh noise between steps."""

FRAME_BY_FRAME = "sample_ar_video"
"""Function of the host's sampler whose every evaluation is kept by the attention of the model."""


def facts_of(guider: Any, sampler: Any, sigmas: Sequence[float], latent: Any) -> RunFacts:
    """The facts of one sampling, from the arguments of the host's OUTER_SAMPLE."""
    sampling = guider.model_patcher.get_model_object("model_sampling")
    name = sampler_name(sampler)
    scale = getattr(guider.model_patcher.model.latent_format, "spacial_downscale_ratio", 8)
    return RunFacts(
        first_sigma=sigmas[0],
        last_sigma=sigmas[-1],
        steps=whole_steps(sigmas, sampling.percent_to_sigma),
        height=latent.shape[-2] * scale,
        width=latent.shape[-1] * scale,
        cfg=guidance_scale(guider, name),
        counted=name in ONE_EVALUATION,
        stages=stages_of(sampler, sigmas),
        adaptive=name in ADAPTIVE,
        corrects=name in ADDS_UP,
        renoises=name in ADDS_NOISE,
        autoregressive=name == FRAME_BY_FRAME,
        rival=rival_of(guider.model_options),
    )


def guidance_scale(guider: Any, sampler: str) -> float | None:
    """The CFG, None where the guider has more to weigh than two conditions.

    At CFG 1 the host leaves uncond out; where something asked for it all the same, as samplers of
    the CFG++ kind do, the run is none without guidance, and its scale says nothing.
    """
    cfg = getattr(guider, "cfg", None)
    several = set(getattr(guider, "conds", ())) - {"positive", "negative"}
    kept = guider.model_options.get("disable_cfg1_optimization") or sampler.endswith("_cfg_pp")
    return None if several or (cfg == 1 and kept) else cfg


def rival_of(model_options: dict[str, Any]) -> str | None:
    """The name of a cache of the host's own on the model, None without one."""
    found = model_options.get("transformer_options", {}).get(RIVAL_KEY)
    return None if found is None else getattr(found, "name", "EasyCache")


def whole_steps(sigmas: Sequence[float], percent_to_sigma: Any) -> float | None:
    """The steps of the whole schedule that these sigmas are a part of; None if noise rises."""
    first, last = (percent_of(sigma, percent_to_sigma) for sigma in (sigmas[0], sigmas[-1]))
    return (len(sigmas) - 1) / (last - first) if last > first else None
