"""Nodes that several workflows share, with the settings of ComfyUI's own templates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .graph import Column, Frame, ModelFile, Node, Out

POSITIVE, NEGATIVE, OURS = ("#232", "#353"), ("#322", "#533"), ("#323", "#535")
STATUS = 220
"""Room for the timeline of an Apply node, and for what it says after a run."""

PICTURE = "example.png"
"""The one picture that every ComfyUI has in its input folder."""
FPS = 16
LATENT = "latent"

# The negative prompt that Wan was published with. In English: garish colours, overexposed, static,
# blurred details, subtitles, style, artwork, painting, still picture, greyish overall, worst
# quality, low quality, JPEG artefacts, ugly, mutilated, extra fingers, badly drawn hands, badly
# drawn face, deformed, disfigured, misshapen limbs, fused fingers, motionless picture, cluttered
# background, three legs, many people in the background, walking backwards.
WAN_NEGATIVE = (
    "\u8272\u8c03\u8273\u4e3d\uff0c\u8fc7\u66dd\uff0c\u9759\u6001\uff0c\u7ec6\u8282\u6a21\u7cca"
    "\u4e0d\u6e05\uff0c\u5b57\u5e55\uff0c\u98ce\u683c\uff0c\u4f5c\u54c1\uff0c\u753b\u4f5c\uff0c"
    "\u753b\u9762\uff0c\u9759\u6b62\uff0c\u6574\u4f53\u53d1\u7070\uff0c\u6700\u5dee\u8d28\u91cf"
    "\uff0c\u4f4e\u8d28\u91cf\uff0cJPEG\u538b\u7f29\u6b8b\u7559\uff0c\u4e11\u964b\u7684\uff0c"
    "\u6b8b\u7f3a\u7684\uff0c\u591a\u4f59\u7684\u624b\u6307\uff0c\u753b\u5f97\u4e0d\u597d\u7684"
    "\u624b\u90e8\uff0c\u753b\u5f97\u4e0d\u597d\u7684\u8138\u90e8\uff0c\u7578\u5f62\u7684\uff0c"
    "\u6bc1\u5bb9\u7684\uff0c\u5f62\u6001\u7578\u5f62\u7684\u80a2\u4f53\uff0c\u624b\u6307\u878d"
    "\u5408\uff0c\u9759\u6b62\u4e0d\u52a8\u7684\u753b\u9762\uff0c\u6742\u4e71\u7684\u80cc\u666f"
    "\uff0c\u4e09\u6761\u817f\uff0c\u80cc\u666f\u4eba\u5f88\u591a\uff0c\u5012\u7740\u8d70"
)


def models(
    diffusion: Iterable[Node], text_encoder: ModelFile, vae: ModelFile, *others: Node
) -> Frame:
    """The loaders."""
    encoder = {"clip_name": text_encoder, "type": "wan", "device": "default"}
    always = Node("clip", "CLIPLoader", encoder), Node("vae", "VAELoader", {"vae_name": vae})
    return Frame("Models", (Column(430, (*diffusion, *always, *others)),))


def diffusion(name: str, file: ModelFile | str, title: str | None = None) -> Node:
    """The loader of one diffusion model."""
    return Node(name, "UNETLoader", {"unet_name": file, "weight_dtype": "default"}, title)


def shift(name: str, model: str, value: float) -> Node:
    """The flow shift."""
    return Node(name, "ModelSamplingSD3", {"model": Out(model), "shift": value})


def step_cache(node: Node, *before: Node) -> Frame:
    """The pack's node, and what changes the models before it."""
    return Frame("Step cache", (Column(300, before), Column(400, (node,))))


def prompt(text: str, *more: Sequence[Node], title: str = "Prompt and size") -> Frame:
    """Both prompts, and more columns: what makes the latent."""
    positive = _text("positive", text, "CLIP Text Encode (Positive Prompt)", POSITIVE)
    negative = _text("negative", WAN_NEGATIVE, "CLIP Text Encode (Negative Prompt)", NEGATIVE)
    columns = (Column(280, tuple(nodes)) for nodes in more)
    return Frame(title, (Column(420, (positive, negative)), *columns))


def latent(
    width: int, height: int, length: int, node_type: str = "EmptyHunyuanLatentVideo", **links: Out
) -> Node:
    """The node that says how large the video is."""
    size = {"width": width, "height": height, "length": length, "batch_size": 1}
    return Node(LATENT, node_type, {**links, **size})


def image() -> Node:
    """A picture to start from."""
    return Node("image", "LoadImage", {"image": PICTURE}, height=330)


def _text(name: str, text: str, title: str, colours: tuple[str, str]) -> Node:
    inputs = {"clip": Out("clip"), "text": text}
    return Node(name, "CLIPTextEncode", inputs, title, height=170, colours=colours)


def ours(name: str, node_type: str, room: int = STATUS, **inputs: Any) -> Node:
    """A node of the pack, which stands out and has room for its text and pictures."""
    return Node(name, node_type, inputs, colours=OURS, note=room)


def sampler(
    name: str, node_type: str, model: Out, title: str | None = None, **settings: Any
) -> Node:
    """A sampler with both prompts and the empty latent, where the settings say nothing else."""
    links = {"model": model, "positive": Out("positive"), "negative": Out("negative")}
    return Node(name, node_type, {**links, "latent_image": Out(LATENT), **settings}, title)


def uni_pc(
    model: Out, name: str = "sampler", title: str | None = None, **settings: Any
) -> Node:
    """The sampler of most of ComfyUI's own Wan workflows."""
    known = {"sampler_name": "uni_pc", "scheduler": "simple", "denoise": 1}
    return sampler(name, "KSampler", model, title, **known, **settings)


def sample(*samplers: Node, prefix: str, fps: int = FPS, trim: Out | None = None) -> Frame:
    """The samplers, and from the latent of the last one to the file.

    trim: how many frames of the latent at the start are not of the video.
    """
    cut = {"samples": Out(samplers[-1].name), "trim_amount": trim}
    before = (Node("trim", "TrimVideoLatent", cut),) if trim else ()
    last = before or samplers
    decode = Node("decode", "VAEDecode", {"samples": Out(last[-1].name), "vae": Out("vae")})
    columns = (
        *(Column(320, (sampler,)) for sampler in samplers),
        Column(420, (*before, decode, *save(Out("decode"), prefix, fps))),
    )
    return Frame("Sample and save", columns)


def save(images: Out, prefix: str, fps: int = FPS) -> tuple[Node, Node]:
    """From frames to the file."""
    clip = Node("video", "CreateVideo", {"images": images, "fps": fps})
    file = {"video": Out("video"), "filename_prefix": prefix, "format": "auto", "codec": "auto"}
    return clip, Node("save", "SaveVideo", file, height=400)


def downloads(*files: ModelFile) -> str:
    """The part of a note that says what to download, and where to."""
    lines = [f"- [{file.name}]({file.url}) into `models/{file.directory}`" for file in files]
    return "\n".join(["## Download", *lines])
