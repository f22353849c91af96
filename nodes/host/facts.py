"""What a sampling of the host tells about itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...cache_core import RunFacts
from ...cache_core.identity import percent_of
from .keys import RIVAL_KEY

ONE_EVALUATION = frozenset(
    f"sample_{name}"
    for name in (
        *("euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "lms", "ddpm"),
        *("dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun"),
        *("dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "lcm", "ipndm", "ipndm_v"),
        *("deis", "res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral"),
        *("res_multistep_ancestral_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp"),
        *("er_sde", "sa_solver", "unipc", "unipc_bh2"),
    )
)
"""Functions of the host's samplers that evaluate the model once a step, at the step's sigma.

Their steps are counted; those of all others are found by reading the sigma, a wait for the device.
"""


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
    scale = getattr(guider.model_patcher.model.latent_format, "spacial_downscale_ratio", 8)
    return RunFacts(
        first_sigma=sigmas[0],
        last_sigma=sigmas[-1],
        steps=whole_steps(sigmas, sampling.percent_to_sigma),
        height=latent.shape[-2] * scale,
        width=latent.shape[-1] * scale,
        cfg=getattr(guider, "cfg", None),
        counted=sampler_name(sampler) in ONE_EVALUATION,
        corrects=sampler_name(sampler) in ADDS_UP,
        renoises=sampler_name(sampler) in ADDS_NOISE,
        autoregressive=sampler_name(sampler) == FRAME_BY_FRAME,
        rival=rival_of(guider.model_options),
    )


def rival_of(model_options: dict[str, Any]) -> str | None:
    """The name of a cache of the host's own on the model, None without one."""
    found = model_options.get("transformer_options", {}).get(RIVAL_KEY)
    return None if found is None else getattr(found, "name", "EasyCache")


def sampler_name(sampler: Any) -> str:
    """The name of a sampler's function, which the host's own are known by."""
    return getattr(getattr(sampler, "sampler_function", None), "__name__", type(sampler).__name__)


def whole_steps(sigmas: Sequence[float], percent_to_sigma: Any) -> float | None:
    """The steps of the whole schedule that these sigmas are a part of; None if noise rises."""
    first, last = (percent_of(sigma, percent_to_sigma) for sigma in (sigmas[0], sigmas[-1]))
    return (len(sigmas) - 1) / (last - first) if last > first else None
