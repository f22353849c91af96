"""The tiny Wan of the tests, which any CPU renders: for a server of dev.py, which has its nodes."""

from __future__ import annotations

from ..demo_workflow import CFG, FPS, FRAMES, HEIGHT, MODEL, SHIFT, STEPS, WIDTH
from . import one_model, parts
from .graph import CONTROL, Column, Frame, Node, Out, Workflow

PACK = "tiny_wan"


def text_to_video(title: str, note: str, text: str, node: Node) -> Workflow:
    """The workflow of the demo; the pack's `node` takes its model from `one_model.SHIFT`."""
    models = Frame("Model", (Column(300, (parts.diffusion("model", MODEL),)),))
    cache = parts.step_cache(node, parts.shift(one_model.SHIFT, "model", SHIFT))
    return Workflow(
        title, note, ((models,), (cache, _prompt(text)), (_sample(node.name),)), pack=PACK
    )


def _prompt(text: str) -> Frame:
    positive = Node("positive", "TinyWanWords", {"text": text}, colours=parts.POSITIVE)
    negative = Node("negative", "TinyWanWords", {"text": ""}, colours=parts.NEGATIVE)
    latent = parts.latent(WIDTH, HEIGHT, FRAMES)
    return Frame("Words and size", (Column(420, (positive, negative)), Column(280, (latent,))))


def _sample(model: str) -> Frame:
    settings = {"seed": 11, CONTROL: "fixed", "steps": STEPS, "cfg": CFG, "sampler_name": "euler"}
    sampler = parts.sampler(
        "sampler", "KSampler", Out(model), scheduler="simple", denoise=1, **settings
    )
    decode = Node("decode", "TinyWanDecode", {"samples": Out("sampler")})
    file = {
        "images": Out("decode"),
        "filename_prefix": "tiny_wan",
        "fps": FPS,
        "lossless": True,
        "quality": 90,
        "method": "default",
    }
    save = Node("save", "SaveAnimatedWEBP", file, height=400)
    return Frame("Sample and save", (Column(320, (sampler,)), Column(320, (decode, save))))
