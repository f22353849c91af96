"""Models beside the model: Uni3C between its blocks, InfiniteTalk (MultiTalk) inside of them.

Import it only after the host (fixture ``host``).
"""

import comfy.model_management
import comfy.ops
import torch
from comfy.model_patcher import ModelPatcher
from comfy_extras import nodes_model_patch
from wan import randomised
from wan_inputs import StandInVAE, clip, heard, made, mask, node

SMALL = {"device": "cpu", "dtype": torch.float32, "operations": comfy.ops.manual_cast}


def model_patch(module):
    """MODEL_PATCH of a module with random weights."""
    module.load_state_dict(randomised(module.state_dict()))
    device = comfy.model_management.get_torch_device()
    return ModelPatcher(module, load_device=device, offload_device=device)


def uni3c(model, *prompts):
    """A control net of two blocks that follows a rendered clip."""
    from comfy.ldm.wan.uni3c import WanUni3CControlnet

    dim = model.model.diffusion_model.dim
    sizes = {"conv_out_dim": dim, "time_embed_dim": dim, "out_proj_dim": dim, "mid_channels": 16}
    net = WanUni3CControlnet(dim=192, ffn_dim=64, num_layers=2, **sizes, **SMALL)
    apply = node("WanUni3CControlnetApply")().apply_patch
    patched = apply(model, model_patch(net), StandInVAE(), clip(6), 1.0, 0.0, 1.0)[0]
    return patched, *prompts


def infinite_talk(speakers):
    """One or two voices, and a picture of who speaks."""

    def inputs(model, *prompts):
        sizes = {"in_dim": model.model.diffusion_model.dim, "intermediate_dim": 8, "out_dim": 32}
        layers = len(model.model.diffusion_model.blocks)
        talk = nodes_model_patch.MultiTalkModelPatch(num_layers=layers, **sizes, **SMALL)
        voice = {"audio_encoder_output_1": heard(7, 13, 768)}
        mode = {"mode": "single_speaker"} if speakers == 1 else duet()
        talking = {"mode": mode, "model_patch": model_patch(talk), "audio_scale": 1.0}
        return made(
            "WanInfiniteTalkToVideo", *prompts, model=model, start_image=clip(3, 1),
            motion_frame_count=9, **talking, **voice,
        )[:4]  # fmt: skip

    return inputs


def duet():
    """The second of two voices, and where each speaker is."""
    left, right = mask(11, 1), mask(12, 1)
    second = {"audio_encoder_output_2": heard(8, 13, 768), "mask_1": left, "mask_2": right}
    return {"mode": "two_speakers", **second}
