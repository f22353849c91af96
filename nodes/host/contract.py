"""What the pack relies on in the host, compared with the host that loads it.

Only what it calls, is called with, or imports: everything else it finds out while it runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Need:
    """Something of the host.

    module, name: where it is; dots in the name go into classes. parameters: for a function, the
    first ones in order, since arguments come or go by position.
    """

    module: str
    name: str
    parameters: tuple[str, ...] = ()

    @property
    def lacking(self) -> str | None:
        """What is wrong with it, in words; None when it is as it should be."""
        try:
            found = reduce(getattr, self.name.split("."), import_module(self.module))
        except (ImportError, AttributeError):
            return f"{self} is missing"
        have = parameters_of(found) if self.parameters else ()
        if have[: len(self.parameters)] != self.parameters:
            return f"{self} takes ({', '.join(have)}), not ({', '.join(self.parameters)})"
        return None

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


def parameters_of(function: Any) -> tuple[str, ...]:
    """Names of its parameters, without self."""
    names = tuple(inspect.signature(function).parameters)
    return names[1:] if names[:1] == ("self",) else names


PHASES = (
    "OUTER_SAMPLE", "PREPARE_SAMPLING", "PREDICT_NOISE", "CALC_COND_BATCH", "APPLY_MODEL",
    "DIFFUSION_MODEL",
)  # fmt: skip
WRAPPED = (
    Need(
        "comfy.samplers", "CFGGuider.outer_sample", ("noise", "latent_image", "sampler", "sigmas")
    ),
    Need("comfy.samplers", "CFGGuider.predict_noise", ("x", "timestep", "model_options", "seed")),
    Need(
        "comfy.samplers",
        "_calc_cond_batch",
        ("model", "conds", "x_in", "timestep", "model_options"),
    ),
    Need("comfy.sampler_helpers", "_prepare_sampling", ("model", "noise_shape", "conds")),
    Need(
        "comfy.model_base",
        "BaseModel._apply_model",
        ("x", "t", "c_concat", "c_crossattn", "control", "transformer_options"),
    ),
    Need(
        "comfy.ldm.wan.model",
        "WanModel._forward",
        ("x", "timestep", "context", "clip_fea", "time_dim_concat", "transformer_options"),
    ),
)
"""Functions whose arguments the wrappers see."""

CALLED = (
    Need("comfy.model_patcher", "ModelPatcher.clone"),
    Need("comfy.model_patcher", "ModelPatcher.get_model_object", ("name",)),
    Need("comfy.model_patcher", "ModelPatcher.get_free_memory", ("device",)),
    Need(
        "comfy.model_patcher",
        "ModelPatcher.add_wrapper_with_key",
        ("wrapper_type", "key", "wrapper"),
    ),
    Need("comfy.model_patcher", "ModelPatcher.remove_wrappers_with_key", ("wrapper_type", "key")),
    Need(
        "comfy.patcher_extension",
        "WrapperExecutor.new_class_executor",
        ("original", "class_obj", "wrappers", "idx"),
    ),
    Need("comfy.model_base", "BaseModel.memory_required", ("input_shape",)),
    Need("comfy.model_base", "BaseModel.get_dtype_inference"),
    Need("comfy.ops", "disable_weight_init.Linear.forward_comfy_cast_weights", ("input",)),
    Need(
        "comfy.model_sampling",
        "CONST.calculate_denoised",
        ("sigma", "model_output", "model_input"),
    ),
    Need("comfy.samplers", "calculate_sigmas", ("model_sampling", "scheduler_name", "steps")),
    Need("comfy.samplers", "SCHEDULER_NAMES"),
    Need("comfy_execution.utils", "get_executing_context"),
    Need("comfyui_version", "__version__"),
    Need("folder_paths", "get_temp_directory"),
    Need("server", "PromptServer.send_progress_text", ("text", "node_id", "sid")),
    Need("server", "PromptServer.add_on_prompt_handler", ("handler",)),
)
"""What the pack calls or reads."""

RELIED_ON = (
    *(Need("comfy.patcher_extension", f"WrappersMP.{phase}") for phase in PHASES),
    *WRAPPED,
    *CALLED,
)


def missing(needs: Sequence[Need] = RELIED_ON) -> list[str]:
    """What this host lacks or does otherwise, in words; empty where everything is as it should."""
    return [need.lacking for need in needs if need.lacking]
