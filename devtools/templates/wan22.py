"""ComfyUI's own workflows of Wan 2.2 without the 4-step LoRA, with one node of the pack in them."""

from __future__ import annotations

from typing import Any

from . import files, parts
from .graph import CONTROL, Node, Out, Workflow
from .one_model import workflow

TEXT_TO_VIDEO = files.T2V_14B_HIGH, files.T2V_14B_LOW, files.TEXT_ENCODER, files.VAE_A14B
TI2V_5B = files.TI2V_5B, files.TEXT_ENCODER, files.VAE_5B
HIGH, LOW = "high_shift", "low_shift"
STEPS, SWITCH = 20, 10
ALL = {"steps": STEPS, "cfg": 3.5, "sampler_name": "euler", "scheduler": "simple"}
FIRST = {
    "add_noise": "enable",
    "noise_seed": 923510416338945,
    "start_at_step": 0,
    "end_at_step": SWITCH,
    "return_with_leftover_noise": "enable",
}
LAST = {
    "add_noise": "disable",
    "noise_seed": 0,
    CONTROL: "fixed",
    "start_at_step": SWITCH,
    "end_at_step": STEPS,
    "return_with_leftover_noise": "disable",
}


def text_to_video(title: str, note: str, text: str, node: Node) -> Workflow:
    """The pack's `node` takes its models from HIGH and LOW; its outputs go to the samplers."""
    experts = (
        parts.diffusion("high", files.T2V_14B_HIGH, "Load Diffusion Model (high noise)"),
        parts.diffusion("low", files.T2V_14B_LOW, "Load Diffusion Model (low noise)"),
    )
    shifts = parts.shift(HIGH, "high", 5), parts.shift(LOW, "low", 5)
    samplers = (
        _sampler("high_sampler", Out(node.name, 0), parts.LATENT, FIRST),
        _sampler("low_sampler", Out(node.name, 1), "high_sampler", LAST),
    )
    return Workflow(
        title,
        note,
        (
            (parts.models(experts, *TEXT_TO_VIDEO[2:]),),
            (
                parts.step_cache(node, *shifts),
                parts.prompt(text, [parts.latent(640, 640, 81)]),
            ),
            (parts.sample(*samplers, prefix="video/wan22"),),
        ),
    )


def _sampler(name: str, model: Out, latent: str, settings: dict[str, Any]) -> Node:
    return parts.sampler(
        name, "KSamplerAdvanced", model, latent_image=Out(latent), **ALL, **settings
    )


def ti2v_5b(title: str, note: str, text: str, node: Node) -> Workflow:
    """The 5B model, by words alone. The pack's `node` takes its model from `one_model.SHIFT`."""
    latent = parts.latent(1280, 704, 121, "Wan22ImageToVideoLatent", vae=Out("vae"))
    sampler = parts.uni_pc(Out(node.name), seed=898471028164125, steps=20, cfg=5)
    sample = parts.sample(sampler, prefix="video/wan22_5b", fps=24)
    return workflow(title, note, TI2V_5B, node, parts.prompt(text, [latent]), sample)
