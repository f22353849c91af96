"""Other nodes and packs on the same model, as they are built.

Import it only after the host (fixture ``host``).
"""

import comfy.samplers
from comfy_api.torch_helpers import set_torch_compile_wrapper
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
