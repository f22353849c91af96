"""The official files of Wan for ComfyUI: names and addresses as in ComfyUI's own templates."""

from __future__ import annotations

from .graph import ModelFile

WAN_21 = "https://huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged"
WAN_22 = "https://huggingface.co/Comfy-Org/Wan_2.2_ComfyUI_Repackaged"


def _file(repository: str, directory: str, name: str) -> ModelFile:
    return ModelFile(name, f"{repository}/resolve/main/split_files/{directory}/{name}", directory)


T2V_1_3B = _file(WAN_21, "diffusion_models", "wan2.1_t2v_1.3B_fp16.safetensors")
I2V_480P = _file(WAN_21, "diffusion_models", "wan2.1_i2v_480p_14B_fp16.safetensors")
VACE_1_3B = _file(WAN_21, "diffusion_models", "wan2.1_vace_1.3B_fp16.safetensors")
T2V_14B_HIGH = _file(WAN_22, "diffusion_models", "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors")
T2V_14B_LOW = _file(WAN_22, "diffusion_models", "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors")
TI2V_5B = _file(WAN_22, "diffusion_models", "wan2.2_ti2v_5B_fp16.safetensors")
TEXT_ENCODER = _file(WAN_21, "text_encoders", "umt5_xxl_fp8_e4m3fn_scaled.safetensors")
CLIP_VISION = _file(WAN_21, "clip_vision", "clip_vision_h.safetensors")
VAE_21, VAE_A14B = (_file(place, "vae", "wan_2.1_vae.safetensors") for place in (WAN_21, WAN_22))
"""The same file: Wan 2.2 14B uses the VAE of 2.1."""
VAE_5B = _file(WAN_22, "vae", "wan2.2_vae.safetensors")
