"""Other nodes and packs on the same model, as they are built.

Import it only after the host (fixture ``host``).
"""

from functools import partial

import comfy.samplers
import comfy.sd
import torch
import wan
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfy_extras.nodes_model_advanced import ModelSamplingSD3
from comfy_extras.nodes_torch_compile import skip_torch_compile_dict


class Graphs:
    """A backend of torch.compile that runs what it gets as it is, and counts.

    compiled: graphs so far. ran: how often one of them ran.
    """

    def __init__(self):
        self.compiled = 0
        self.ran = 0

    def __call__(self, graph, inputs):
        self.compiled += 1

        def run(*args):
            self.ran += 1
            return graph.forward(*args)

        return run


def compiled(model, backend, *keys):
    """A clone compiled as TorchCompileModel does it, whole or (``keys``) in parts."""
    clone = model.clone(disable_dynamic=True)
    options = {"guard_filter_fn": skip_torch_compile_dict}
    set_torch_compile_wrapper(model=clone, backend=backend, options=options, keys=list(keys))
    return clone


def by_blocks(model, backend):
    """A clone of which each block is compiled by itself, as KJNodes does it."""
    layers = len(model.model.diffusion_model.blocks)
    return compiled(model, backend, *(f"diffusion_model.blocks.{i}" for i in range(layers)))


class Strength:
    """What a patch closes over: an object that is new in every call."""

    def __init__(self, scale):
        self.scale = scale


def scaling(block, strength):
    """Patches that scale what a block makes of the tokens."""

    def patch(args, extra):
        return {"img": extra["original_block"](args)["img"] * strength.scale}

    return {("double_block", block): patch}


def skipping(block):
    """Patches that leave a block out."""

    def patch(args, extra):
        return args

    return {("double_block", block): patch}


def with_blocks(transformer_options, patches):
    """A copy of the options with these block patches too."""
    replaced = transformer_options.get("patches_replace", {})
    blocks = {**replaced.get("dit", {}), **patches}
    return {**transformer_options, "patches_replace": {**replaced, "dit": blocks}}


def with_fresh_patch(model):
    """A clone of a pack that puts a new patch on block 2 for every call of the model."""

    def call(apply_model, given):
        conditions = dict(given["c"])
        patches = scaling(2, Strength(0.9))
        conditions["transformer_options"] = with_blocks(conditions["transformer_options"], patches)
        return apply_model(given["input"], given["timestep"], **conditions)

    clone = model.clone()
    clone.set_model_unet_function_wrapper(call)
    return clone


def with_passes(model, passes):
    """A clone of a pack that runs cond once more for each of ``passes()``, with their patches."""

    def guide(args):
        denoised = args["denoised"]
        for patches in passes():
            options = dict(args["model_options"])
            options["transformer_options"] = with_blocks(options["transformer_options"], patches)
            (extra,) = comfy.samplers.calc_cond_batch(
                args["model"], [args["cond"]], args["input"], args["sigma"], options
            )
            denoised = denoised + 0.1 * (args["cond_denoised"] - extra)
        return denoised

    clone = model.clone()
    clone.set_model_sampler_post_cfg_function(guide)
    return clone


def with_lora(model):
    """A clone with a LoRA on the attention of every block, read from weights as files have them."""
    generator, weights = torch.Generator().manual_seed(3), {}
    for index in range(len(model.model.diffusion_model.blocks)):
        name = f"diffusion_model.blocks.{index}.self_attn.q.lora_"
        weights[f"{name}down.weight"] = torch.randn(4, wan.DIM, generator=generator) * 0.1
        weights[f"{name}up.weight"] = torch.randn(wan.DIM, 4, generator=generator) * 0.1
    clone, _ = comfy.sd.load_lora_for_models(model, None, weights, 1.0, 0.0)
    return clone


def with_shift(model):
    """ComfyUI's ModelSamplingSD3, with a shift that is not the model's own."""
    return ModelSamplingSD3().patch(model, 2.5)[0]


def with_attention(model):
    """Another attention in the place of ComfyUI's own, less exact (SageAttention and the like)."""

    def attention(original, q, k, v, *args, **kwargs):
        q, k = (t.to(torch.bfloat16).to(t.dtype) for t in (q, k))
        return original(q, k, v, *args, **kwargs)

    clone = model.clone()
    clone.model_options["transformer_options"]["optimized_attention_override"] = attention
    return clone


def with_attention_patches(model):
    """Patches behind the self-attention, and in front of the cross-attention or behind it."""
    clone = model.clone()
    clone.set_model_attn1_patch(lambda given: given["x"] * 1.1)
    clone.set_model_attn2_patch(lambda given: given["x"] * 0.9)
    return clone


def with_nag(model):
    """Normalized attention guidance of cond by uncond, which run together."""

    def guide(given):
        out, branches = given["x"], given["transformer_options"]["cond_or_uncond"]
        if sorted(branches) != [0, 1]:
            return out
        rows = list(out.chunk(2))
        away = 5 * rows[branches.index(0)] - 4 * rows[branches.index(1)]
        rows[branches.index(0)] = away / away.norm(p=1, dim=-1, keepdim=True)
        return torch.cat(rows)

    clone = model.clone()
    clone.set_model_attn1_patch(guide)
    return clone


def with_block_swap(model):
    """Blocks replaced by patches that run them (block swap and the like)."""
    clone = model.clone()
    for index in range(len(model.model.diffusion_model.blocks)):
        patch = partial(_run_at, index)
        clone.set_model_patch_replace(patch, "dit", "double_block", index)
    return clone


def _run_at(index, args, extra):
    return {"img": extra["original_block"](args)["img"] * (1 + 0.01 * index)}


NEIGHBOURS = {
    "LoRA": with_lora,
    "ModelSamplingSD3": with_shift,
    "Another attention (SageAttention)": with_attention,
    "Patches on attention": with_attention_patches,
    "Guidance between branches (NAG)": with_nag,
    "Replaced blocks (block swap)": with_block_swap,
}
"""What other nodes do to a model, by what it is."""
