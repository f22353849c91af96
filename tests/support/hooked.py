"""LoRAs and patches that the host's hooks put on single conditions, and take off again.

Import it only after the host (fixture ``host``).
"""

import comfy.hooks
import prompts
import torch
from comfy_extras import nodes_hooks

BLOCK = 1
LAYER = f"blocks.{BLOCK}.ffn.2"


def lora(seed=7, strength=1.0):
    """A hook that adds a LoRA to one layer of the model."""
    generator = torch.Generator().manual_seed(seed)
    key = f"diffusion_model.{LAYER}"
    weights = {
        f"{key}.lora_up.weight": torch.randn(128, 4, generator=generator),
        f"{key}.lora_down.weight": torch.randn(4, 256, generator=generator) * 0.1,
    }
    return comfy.hooks.create_hook_lora(weights, strength, 0.0)


def fingerprint(model):
    """What tells the weights of the layer apart, as they are now."""
    weight = model.model.diffusion_model.blocks[BLOCK].ffn[2].weight
    return lambda: float(weight.double().abs().sum())


def keyframes(*points):
    """A schedule of strengths: (strength, start percent) of each."""
    schedule = None
    for strength, start in points:
        (schedule,) = nodes_hooks.CreateHookKeyframe().create_hook_keyframe(
            strength, start, schedule
        )
    return schedule


def ramp(count=4):
    """A schedule that takes strength away in steps."""
    (schedule,) = nodes_hooks.CreateHookKeyframesInterpolated().create_hook_keyframes(
        1.0, 0.0, "linear", 0.0, 0.8, count
    )
    return schedule


def on_schedule(hooks, schedule):
    """Hooks whose strength follows a schedule."""
    (scheduled,) = nodes_hooks.SetHookKeyframes().set_hook_keyframes(hooks, schedule)
    return scheduled


def hooked(conditioning, hooks, **settings):
    """Conditions with hooks."""
    (found,) = nodes_hooks.ConditioningSetProperties().set_properties(
        conditioning, 1.0, "default", hooks=hooks, **settings
    )
    return found


def pair(hooks):
    """Both branches with the same hooks."""
    return {
        "positive": hooked(prompts.prompt(1), hooks),
        "negative": hooked(prompts.prompt(2), hooks),
    }


def on_cond(hooks):
    """Hooks on the positive prompt alone."""
    return {"positive": hooked(prompts.prompt(1), hooks)}


def on_uncond(hooks):
    """Hooks on the negative prompt alone."""
    return {"negative": hooked(prompts.prompt(2), hooks)}


def one_each():
    """Two masked prompts, each with a LoRA of its own."""
    first, second = prompts.masked()
    return {"positive": hooked([first], lora(7)) + hooked([second], lora(8))}


def with_default():
    """A masked prompt with a LoRA, and a default for the rest of the picture."""
    (masked, _), plain = prompts.masked(), prompts.prompt(3)
    (positive,) = nodes_hooks.ConditioningSetDefaultAndCombine().set_default_and_combine(
        hooked([masked], lora()), plain
    )
    return {"positive": positive}


class HalvesBlock:
    """Another pack's replacement of a block."""

    def __call__(self, args, extra):
        return {"img": extra["original_block"](args)["img"] * 0.5}


def patching():
    """A hook that replaces a block for its condition alone."""
    group = comfy.hooks.HookGroup()
    options = {"patches_replace": {"dit": {("double_block", BLOCK): HalvesBlock()}}}
    scope = comfy.hooks.EnumHookScope.HookedOnly
    group.add(comfy.hooks.TransformerOptionsHook(options, scope))
    return group
