"""When the host's samplers evaluate the model: by the names of their functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...cache_core.schedule import Stage

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
"""Samplers that evaluate the model once a step, at the step's sigma.

Their steps are counted; in which step an evaluation of any other is, its sigma helps to tell, and
reading that is a wait for the device.
"""

BETWEEN, AT_THE_END = (0.0, 0.5), (0.0, 1.0)
STAGES: dict[str, tuple[float, ...]] = {
    "sample_heun": AT_THE_END,
    "sample_heunpp2": (0.0, 1.0, 2.0),
    "sample_exp_heun_2_x0": AT_THE_END,
    "sample_exp_heun_2_x0_sde": AT_THE_END,
    "sample_sa_solver_pece": AT_THE_END,
    "sample_dpm_2": BETWEEN,
    "sample_dpm_2_ancestral": AT_THE_END,
    "sample_dpmpp_2s_ancestral": BETWEEN,
    "sample_dpmpp_2s_ancestral_cfg_pp": AT_THE_END,
    "sample_dpmpp_sde": BETWEEN,
    "sample_dpmpp_sde_gpu": BETWEEN,
    "sample_seeds_2": BETWEEN,
    "sample_seeds_3": (0.0, 1 / 3, 2 / 3),
}
"""Samplers that evaluate the model several times a step, and how far ahead of its start they do.

PECE evaluates what it predicted of a point, then what it made of that; the first of the two is
counted into the step before, as Heun's is.
"""

NOT_AT_THE_LAST_SIGMA = frozenset({"sample_heunpp2", "sample_sa_solver_pece"})
"""Others evaluate there too where it is above 0, as in the first part of a split sampling."""

ADAPTIVE = frozenset({"dpm_adaptive_function"})
"""Samplers that go as far as two of their results agree: a reused value always agrees."""


def sampler_name(sampler: Any) -> str:
    """The name of a sampler's function, which the host's own are known by."""
    name = getattr(getattr(sampler, "sampler_function", None), "__name__", type(sampler).__name__)
    options = getattr(sampler, "extra_options", None) or {}
    pece = name == "sample_sa_solver" and options.get("use_pece")
    return "sample_sa_solver_pece" if pece else str(name)


def stages_of(sampler: Any, sigmas: Sequence[float]) -> tuple[Stage, ...]:
    """Every evaluation that a sampler of several a step will make; empty for any other.

    A step that ends at sigma 0 has but one.
    """
    name = sampler_name(sampler)
    steps = len(sigmas) - 1
    most = steps - (name in NOT_AT_THE_LAST_SIGMA)
    return tuple(
        Stage(step, ahead)
        for step in range(steps)
        for ahead in STAGES.get(name, ())
        if not ahead or (sigmas[step + 1] > 0 and step + ahead <= most)
    )
