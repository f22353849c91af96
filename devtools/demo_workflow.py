"""The workflow of the demo, in API format."""

from __future__ import annotations

from typing import Any

from .client import ComfyClient, Json

MODEL = "tiny_wan.safetensors"
APPLY = "WanStepCache_FBCache"
REPORT_NODE = "WanStepCache_Report"
CACHE, SAMPLER, SAVE, REPORT = "cache", "sampler", "save", "report"
WIDTH = HEIGHT = 128
FRAMES = 17
STEPS, CFG, SHIFT = 30, 5.0, 5.0
FPS = 8.0


def workflow(client: ComfyClient, text: str, seed: int, *, cached: bool, steps: int) -> Json:
    """One render of `text`; with `cached` the pack's nodes are before and behind the sampler."""
    model = CACHE if cached else "shift"
    size = {"width": WIDTH, "height": HEIGHT, "length": FRAMES, "batch_size": 1}
    nodes = {
        "model": _node("UNETLoader", unet_name=MODEL, weight_dtype="default"),
        "shift": _node("ModelSamplingSD3", model=["model", 0], shift=SHIFT),
        "positive": _node("TinyWanWords", text=text),
        "negative": _node("TinyWanWords", text=""),
        "latent": _node("EmptyHunyuanLatentVideo", **size),
        SAMPLER: _sampler(model, seed, steps),
        "decode": _node("TinyWanDecode", samples=[SAMPLER, 0]),
        SAVE: _save("cached" if cached else "uncached"),
    }
    if cached:
        nodes[CACHE] = _apply(client)
        nodes[REPORT] = _node(REPORT_NODE, latent=[SAMPLER, 0], model=[CACHE, 0])
    return nodes


def _node(class_type: str, **inputs: Any) -> Json:
    return {"class_type": class_type, "inputs": inputs}


def _sampler(model: str, seed: int, steps: int) -> Json:
    return _node(
        "KSampler",
        model=[model, 0],
        positive=["positive", 0],
        negative=["negative", 0],
        latent_image=["latent", 0],
        seed=seed,
        steps=steps,
        cfg=CFG,
        sampler_name="euler",
        scheduler="simple",
        denoise=1.0,
    )


def _apply(client: ComfyClient) -> Json:
    declared = client.object_info(APPLY)["input"]["required"]
    inputs = {**defaults(declared), "model": ["shift", 0], "preset": "balanced"}
    return _node(APPLY, **inputs)


def defaults(declared: Json) -> Json:
    """The default of every input that has one, as the browser would fill them in."""
    options = {name: spec[1] for name, spec in declared.items() if len(spec) > 1}
    return {name: given["default"] for name, given in options.items() if "default" in given}


def _save(name: str) -> Json:
    return _node(
        "SaveAnimatedWEBP",
        images=["decode", 0],
        filename_prefix=f"demo/{name}",
        fps=FPS,
        lossless=True,
        quality=90,
        method="default",
    )
