"""Text encoder, VAEs, image and audio encoders, as small as the host's real loaders let them be.

T5 base, the VAE of Wan 2.1 and what it lets be small have random weights. CLIP vision H, the VAE of
Wan 2.2 and the audio encoders have one size only: nearly all of their weights are 0.
Import it only after the host (``import_host``).
"""

import json
from pathlib import Path

import comfy.audio_encoders.wav2vec2
import comfy.audio_encoders.whisper
import comfy.clip_model
import comfy.clip_vision
import comfy.ldm.wan.vae
import comfy.ldm.wan.vae2_2
import comfy.ops
import comfy.text_encoders.t5
import torch
from random_files import randomised, write_mostly_zeros
from safetensors.torch import save_file

TEXT_DIM = 768
"""Of T5 base, which the loader takes in the place of UMT5-XXL with its 5.7 billion parameters."""
VAE = {
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_scales": [],
    "temperal_downsample": [False, True, True],
    "dropout": 0.0,
}
"""What the loader sets for both VAEs."""
WAV2VEC2 = {
    "base": {
        "embed_dim": 768,
        "num_heads": 12,
        "num_layers": 12,
        "conv_norm": False,
        "conv_bias": False,
        "do_stable_layer_norm": False,
    },
    "large": {},
}
META = {"dtype": torch.float16, "device": "meta", "operations": comfy.ops.manual_cast}


def config_of(module, name):
    """A configuration that lies beside a module of the host."""
    return json.loads(Path(module.__file__).with_name(name).read_text(encoding="utf-8"))


def write_text_encoder(path):
    """T5 base with random weights."""
    config = config_of(comfy.text_encoders.t5, "t5_config_base.json")
    built = comfy.text_encoders.t5.T5(config, torch.float32, "meta", comfy.ops.manual_cast)
    save_file({name: value.half() for name, value in randomised(built).items()}, path)


def write_vae(path):
    """The VAE of Wan 2.1 with 8 channels instead of 96, or that of 2.2."""
    if "2.2" in path.name:
        with torch.device("meta"):
            built = comfy.ldm.wan.vae2_2.WanVAE(dim=160, z_dim=48, **VAE)
        write_mostly_zeros(path, built)
    else:
        built = comfy.ldm.wan.vae.WanVAE(
            dim=8, z_dim=16, image_channels=3, conv_out_channels=3, **VAE
        )
        save_file(randomised(built), path)


def write_clip_vision(path):
    """CLIP vision H."""
    config = config_of(comfy.clip_vision, "clip_vision_config_h.json")
    kind = comfy.clip_model.CLIPVisionModelProjection
    write_mostly_zeros(path, kind(config, torch.float16, "meta", comfy.ops.manual_cast))


def write_audio_encoder(path):
    """Whisper large, or wav2vec2 in one of its two sizes."""
    if "whisper" in path.name:
        built = comfy.audio_encoders.whisper.WhisperLargeV3(**META)
        write_mostly_zeros(path, built.encoder, "model.encoder.")
    else:
        settings = WAV2VEC2["large" if "large" in path.name else "base"]
        kind = comfy.audio_encoders.wav2vec2.Wav2Vec2Model
        write_mostly_zeros(path, kind(**settings, **META))
