"""Nodes of the host that change guidance, and nodes of others as they write them.

Import it only after the host (fixture ``host``).
"""

from importlib import import_module

import comfy.samplers
import pytest
import torch
import wan
from comfy.model_patcher import set_model_options_patch_replace

EXTRA = {
    "SkipLayerGuidanceDiT": ("nodes_slg", {"scale": 3.0, "start_percent": 0.0, "end_percent": 1.0,
                             "double_layers": "1", "single_layers": ""}),
    "SkipLayerGuidanceDiT, rescaled": (
        "nodes_slg", {"scale": 3.0, "start_percent": 0.0, "end_percent": 1.0,
                      "double_layers": "1, 2", "single_layers": "", "rescaling_scale": 0.5}),
    "PerturbedAttentionGuidance": ("nodes_pag", {"scale": 2.0}),
    "PerpNeg": ("nodes_perpneg", {"empty_conditioning": None, "neg_scale": 1.0}),
}  # fmt: skip
"""Nodes that run one more pass of the model in every evaluation, of one branch."""

FORMULAS = {
    "CFGZeroStar": ("nodes_cfg", {}),
    "CFGNorm": ("nodes_cfg", {"strength": 1.0}),
    "CFGNorm, before CFG": ("nodes_cfg", {"strength": 0.5, "pre_cfg": True}),
    "TCFG": ("nodes_tcfg", {}),
    "APG": ("nodes_apg", {"eta": 0.8, "norm_threshold": 5.0, "momentum": 0.0}),
    "APG, with momentum": ("nodes_apg", {"eta": 0.8, "norm_threshold": 5.0, "momentum": -0.5}),
    "Mahiro": ("nodes_mahiro", {}),
    "FreSca": ("nodes_fresca", {"scale_low": 1.0, "scale_high": 1.25, "freq_cutoff": 2}),
    "EpsilonScaling": ("nodes_eps", {"scaling_factor": 1.05}),
    "TemporalScoreRescaling": ("nodes_eps", {"tsr_k": 0.95, "tsr_sigma": 1.0}),
    "RescaleCFG": ("nodes_model_advanced", {"multiplier": 0.7}),
    "VideoLinearCFGGuidance": ("nodes_video_model", {"min_cfg": 1.0}),
    "VideoTriangleCFGGuidance": ("nodes_video_model", {"min_cfg": 1.0}),
    "LatentApplyOperationCFG": (
        "nodes_post_processing nodes_latent", {"operation": lambda latent, **more: latent * 0.9}),
}  # fmt: skip
"""Nodes that combine what the branches give in ways of their own. Modules of the host that import
each other stand in the order that works.
"""


def patched(model, name):
    """The model behind one of these nodes."""
    modules, settings = {**EXTRA, **FORMULAS}[name]
    *_, module = (import_module(f"comfy_extras.{one}") for one in modules.split())
    node, settings = getattr(module, name.partition(",")[0]), dict(settings)
    if "empty_conditioning" in settings:
        settings["empty_conditioning"] = wan.conditioning(4)
    if hasattr(node, "define_schema"):
        inputs = {one.id for one in node.define_schema().inputs}
        if settings.keys() - inputs:
            pytest.skip(f"this ComfyUI's {name} has no {', '.join(settings.keys() - inputs)}")
        return node.execute(model=model, **settings).args[0]
    return node().patch(model, **settings)[0]


def one_by_one(model, layers="2", start=0.0, end=1.0):
    """The model behind skip-layer guidance's simple variant: uncond runs by itself, patched."""
    from comfy_extras.nodes_slg import SkipLayerGuidanceDiTSimple

    return SkipLayerGuidanceDiTSimple.execute(
        model=model, start_percent=start, end_percent=end, double_layers=layers, single_layers=""
    ).args[0]


def calls_first(model, until):
    """A pass of its own over cond before both branches run, while the noise is high."""
    clone = model.clone()

    def calc(args):
        options = args["model"], args["conds"], args["input"], args["sigma"], args["model_options"]
        inner, (cond, uncond), x, sigma, rest = options
        weak = None
        if float(sigma[0]) > until:
            (weak,) = comfy.samplers.calc_cond_batch(inner, [cond], x * 0.5, sigma, rest)
        both = comfy.samplers.calc_cond_batch(inner, [cond, uncond], x, sigma, rest)
        return both if weak is None else [both[0] + 0.1 * (both[0] - weak), both[1]]

    clone.set_model_sampler_calc_cond_batch_function(calc)
    return clone


def patches_anew(model):
    """A pass of its own with a patch that is made for every evaluation."""
    clone = model.clone()

    def guide(args):
        def skip(block_args, extra):
            return block_args

        options = set_model_options_patch_replace(
            args["model_options"].copy(), skip, "dit", "double_block", 2
        )
        inner, x, sigma = args["model"], args["input"], args["sigma"]
        (weak,) = comfy.samplers.calc_cond_batch(inner, [args["cond"]], x, sigma, options)
        return args["denoised"] + (args["cond_denoised"] - weak)

    clone.set_model_sampler_post_cfg_function(guide)
    return clone


def cfg_by_hand(model):
    """CFG as another pack writes it, into the tensors that it was given."""
    clone = model.clone()

    def combine(args):
        cond, uncond = args["cond"], args["uncond"]
        cond -= uncond
        cond *= args["cond_scale"] - 1
        return cond.add_(uncond)

    clone.set_model_sampler_cfg_function(combine)
    return clone


def perp_neg_guider(model, cfg=5.0):
    """A guider of three branches."""
    from comfy_extras.nodes_perpneg import Guider_PerpNeg

    guider = Guider_PerpNeg(model)
    guider.set_conds(*(wan.conditioning(seed) for seed in (1, 2, 4)))
    guider.set_cfg(cfg, 1.0)
    return guider


def sample_guider(guider, steps=6):
    """Latents of one sampling with a guider."""
    model = guider.model_patcher
    latent, noise = wan.latent_and_noise(model, 0, 1, (3, 8, 8))
    euler, sigmas = comfy.samplers.sampler_object("euler"), wan.schedule(model, steps)
    with torch.inference_mode():
        return guider.sample(noise, latent, euler, sigmas, disable_pbar=True, seed=0)


def halved_input(model):
    """A wrapper of the model's function that changes what goes in and what comes out."""
    clone = model.clone()

    def wrapper(apply, args):
        return apply(args["input"] * 0.5, args["timestep"], **args["c"]) * 2.0

    clone.set_model_unet_function_wrapper(wrapper)
    return clone


def row_by_row(model, announced):
    """A wrapper that runs the branches one after the other. announced: it says which is which."""
    clone = model.clone()

    def one(apply, args, index):
        rows = slice(index, index + 1)
        named = {k: v[rows] if torch.is_tensor(v) else v for k, v in args["c"].items()}
        if announced:
            options = dict(named["transformer_options"])
            options |= {key: options[key][rows] for key in ("cond_or_uncond", "uuids")}
            named["transformer_options"] = options
        return apply(args["input"][rows], args["timestep"][rows], **named)

    def wrapper(apply, args):
        count = len(args["cond_or_uncond"])
        return torch.cat([one(apply, args, index) for index in range(count)])

    clone.set_model_unet_function_wrapper(wrapper)
    return clone
