"""Tiny diffusion models of the host's own Wan classes, under the names of published files.

Import it only after the host (``import_host``).
"""

import json
from importlib import import_module
from zlib import crc32

import comfy.ops
import torch
from random_files import randomised
from safetensors.torch import save_file

DIM, FFN, LAYERS = 128, 256, 4
INJECTED = [0, 3]
"""Blocks behind which audio comes in, where a class has its own list of 40 layers."""
I2V = {"model_type": "i2v", "in_dim": 36}
IN_36 = {"model_type": "t2v", "in_dim": 36}
OUT_48 = {"model_type": "t2v", "out_dim": 48}
HEADS_OF_MULTITALK = 5
"""Its patch has 40 heads of its own, of an even size: the model's 128 times 5 can be split so."""

WANS = (
    ("s2v", "model.WanModel_S2V", {"audio_inject_layers": INJECTED}),
    ("humo", "model.HumoWanModel", {"in_dim": 36}),
    ("scail_2", "model.SCAIL2WanModel", {}),
    ("dancer", "model_wandancer.WanDancerModel", {"in_dim": 36, "audio_inject_layers": INJECTED}),
    ("vace", "model.VaceWanModel", {"vace_layers": 2, "vace_in_dim": 96}),
    ("causal", "ar_model.CausalWanModel", {}),
    ("2.1_fun_camera", "model.CameraWanModel", {"model_type": "camera", "in_dim": 32}),
    ("2.2_fun_camera", "model.CameraWanModel", {"model_type": "camera_2.2", "in_dim": 36}),
    ("fun_control_5b", "model.WanModel", {**OUT_48, "in_dim": 148, "in_dim_ref_conv": 48}),
    ("fun_inpaint_5b", "model.WanModel", {**OUT_48, "in_dim": 100}),
    ("ti2v_5b", "model.WanModel", {**OUT_48, "in_dim": 48}),
    ("2.1_fun_control", "model.WanModel", {**I2V, "in_dim": 48}),
    ("2.2_fun_control", "model.WanModel", {**IN_36, "in_dim": 52, "in_dim_ref_conv": 16}),
    ("2.1_fun_inp", "model.WanModel", I2V),
    ("2.2_fun_inpaint", "model.WanModel", IN_36),
    ("2.2_i2v", "model.WanModel", IN_36),
    ("flf2v", "model.WanModel", {**I2V, "flf_pos_embed_token_number": 514}),
    ("wan2_1-i2v-14b-480p", "model.WanModel", {**I2V, "num_heads": HEADS_OF_MULTITALK}),
    ("i2v", "model.WanModel", I2V),
    ("wanmove", "model.WanModel", I2V),
    ("chrono", "model.WanModel", I2V),
    ("bernini", "model.WanModel", {"model_type": "t2v"}),
    ("t2v", "model.WanModel", {"model_type": "t2v"}),
)
"""Part of a file's name, the class and its settings; the first that fits holds."""
SAID = {"causal": {"causal_ar": True}}
"""What only a file's metadata can tell the loader, beside ``audio_inject_layers``."""


def write_wan(path, text_dim):
    """A tiny model of the class that a file of this name has, for text of so many features."""
    part, place, settings = next(row for row in WANS if row[0] in path.name.lower())
    sizes = {"num_heads": 1, "ffn_dim": FFN, "num_layers": LAYERS, "text_dim": text_dim, **settings}
    module, _, name = place.rpartition(".")
    built = getattr(import_module(f"comfy.ldm.wan.{module}"), name)(
        dim=DIM * sizes["num_heads"],
        **sizes,
        device="cpu",
        dtype=torch.float32,
        operations=comfy.ops.manual_cast,
    )
    known = {name: sizes[name] for name in ("text_dim", "audio_inject_layers") if name in sizes}
    config = {"transformer": {**known, **SAID.get(part, {})}}
    weights = randomised(built, seed=crc32(path.name.encode()))
    save_file(weights, path, {"config": json.dumps(config)})


def write_lora(path):
    """A LoRA of rank 2 on a few layers of any of the models above."""
    generator = torch.Generator().manual_seed(1)
    shapes = {"lora_down": (2, DIM), "lora_up": (DIM, 2)}
    layers = [f"blocks.{i}.{name}" for i in range(2) for name in ("self_attn.q", "cross_attn.o")]
    weights = {
        f"diffusion_model.{layer}.{name}.weight": torch.randn(shape, generator=generator) * 0.02
        for layer in layers
        for name, shape in shapes.items()
    }
    save_file(weights, path)


def write_multitalk(path):
    """InfiniteTalk's patch for the model above that has its heads."""
    from comfy_extras.nodes_model_patch import MultiTalkModelPatch

    built = MultiTalkModelPatch(
        in_dim=DIM * HEADS_OF_MULTITALK,
        intermediate_dim=64,
        out_dim=64,
        device="cpu",
        dtype=torch.float32,
        operations=comfy.ops.manual_cast,
    )
    save_file(randomised(built), path)
