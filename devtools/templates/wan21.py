"""ComfyUI's own workflows of Wan 2.1, with one node of the pack in them."""

from __future__ import annotations

from . import files, parts
from .graph import Node, Out, Workflow
from .one_model import workflow

TEXT_TO_VIDEO = files.T2V_1_3B, files.TEXT_ENCODER, files.VAE_21
IMAGE_TO_VIDEO = files.I2V_480P, files.TEXT_ENCODER, files.VAE_21, files.CLIP_VISION
VACE = files.VACE_1_3B, files.TEXT_ENCODER, files.VAE_21
SEED, STEPS, CFG = 82628696717253, 30, 6
"""Of ComfyUI's own text to video workflow."""
WITH_PICTURE = "Prompt, picture and size"
CONDITIONED = {
    "positive": Out(parts.LATENT, 0),
    "negative": Out(parts.LATENT, 1),
    "latent_image": Out(parts.LATENT, 2),
}
"""What a sampler takes from the node that puts a picture into the prompts."""


def text_to_video(title: str, note: str, text: str, node: Node) -> Workflow:
    """The pack's `node` takes its model from `one_model.SHIFT`, the sampler takes the node's."""
    prompt = parts.prompt(text, [parts.latent(832, 480, 33)])
    sampler = parts.uni_pc(Out(node.name), seed=SEED, steps=STEPS, cfg=CFG)
    sample = parts.sample(sampler, prefix="video/wan21")
    return workflow(title, note, TEXT_TO_VIDEO, node, prompt, sample)


def image_to_video(title: str, note: str, text: str, node: Node) -> Workflow:
    """The same from a picture, which is the first frame."""
    looked_at = {"clip_vision": Out("vision"), "image": Out("image"), "crop": "none"}
    seen = Node("seen", "CLIPVisionEncode", looked_at)
    first = {"clip_vision_output": Out("seen"), "start_image": Out("image")}
    latent = _conditioned(512, 512, 33, "WanImageToVideo", **first)
    prompt = parts.prompt(text, [parts.image(), seen], [latent], title=WITH_PICTURE)
    sampler = parts.uni_pc(Out(node.name), seed=987948718394761, steps=20, cfg=6, **CONDITIONED)
    sample = parts.sample(sampler, prefix="video/wan21_image")
    vision = Node("vision", "CLIPVisionLoader", {"clip_name": files.CLIP_VISION})
    return workflow(title, note, IMAGE_TO_VIDEO, node, prompt, sample, vision)


def vace(title: str, note: str, text: str, node: Node) -> Workflow:
    """The same with VACE and a picture of what the video shall show."""
    latent = _conditioned(832, 480, 81, "WanVaceToVideo", reference_image=Out("image"))
    prompt = parts.prompt(text, [parts.image()], [latent], title=WITH_PICTURE)
    sampler = parts.uni_pc(Out(node.name), seed=552837504311715, steps=20, cfg=6, **CONDITIONED)
    sample = parts.sample(sampler, prefix="video/wan21_vace", trim=Out(parts.LATENT, 3))
    return workflow(title, note, VACE, node, prompt, sample)


def _conditioned(width: int, height: int, length: int, node_type: str, **links: Out) -> Node:
    prompts = {name: Out(name) for name in ("positive", "negative", "vae")}
    return parts.latent(width, height, length, node_type, **prompts, **links)
