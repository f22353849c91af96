"""Workflows of the tiny Wan in API format, and what they left on the server."""

import copy
import json
import uuid

from devtools import demo_workflow
from devtools.demo_report import psnr
from devtools.events import EventReader
from devtools.pictures import frames

APPLY, OPTIONS = "WanStepCache_FBCache", "WanStepCache_Options"
LOW_NOISE = "tiny_wan_low_noise.safetensors"
TEXT, SEED, STEPS = "red disc fast", 11, 12


def plain(text=TEXT, seed=SEED, steps=STEPS, length=17):
    """The workflow without the cache."""
    graph = copy.deepcopy(demo_workflow.workflow(None, text, seed, cached=False, steps=steps))
    graph["latent"]["inputs"]["length"] = length
    return graph


def cached(graph=None, options=None, **settings):
    """The workflow with Apply FBCache before the sampler; settings are the node's widgets."""
    graph = copy.deepcopy(graph or plain())
    inputs = {"model": ["shift", 0], "preset": "custom", "residual_diff_threshold": 0.12}
    graph["cache"] = {"class_type": APPLY, "inputs": {**inputs, **settings}}
    if options is not None:
        graph["options"] = {"class_type": OPTIONS, "inputs": {**option_defaults(), **options}}
        graph["cache"]["inputs"]["options"] = ["options", 0]
    graph["sampler"]["inputs"]["model"] = ["cache", 0]
    return graph


def option_defaults():
    """The widgets of Step Cache Options as the browser would send them."""
    return {
        "start_percent": 0.0,
        "end_percent": 1.0,
        "warmup_steps": -1,
        "last_steps": -1,
        "max_consecutive_skips": -1,
        "cfg_mode": "cond",
        "cache_level": "auto",
        "verbose": False,
    }


def render(server, graph):
    """Run a workflow: its frames [frames, height, width, 3], and the traces of its runs."""
    prompt_id = server.queue(graph)
    entry = server.wait(prompt_id)
    picture = frames(server.view(**entry["outputs"]["save"]["images"][0]))
    return picture, traces(server, prompt_id)


def said(server, graph):
    """Run a workflow as a browser would: the messages it got, by type."""
    client = uuid.uuid4().hex
    with EventReader(server.url, client) as events:
        prompt_id = server.queue(graph, client)
        server.wait(prompt_id)
        events.wait_for_end(prompt_id)
        return {kind: events.of_type(kind) for kind in ("execution_error", "progress_text")}


def traces(server, prompt_id):
    """What the pack wrote about a prompt, empty if it wrote nothing."""
    path = server.base / "temp" / "wan_step_cache" / f"{prompt_id}.json"
    if not path.exists():
        return []
    return json.loads(server.view(path.name, "wan_step_cache", "temp"))


def experts(cache, options=None, more=None):
    """Wan 2.2 as users build it: two models, two KSamplerAdvanced, one after the other.

    more: further samplers, the step at which one takes over and its model: {4: "high"}.
    """
    graph, steps = plain(), 20
    graph["model_low"] = node("UNETLoader", unet_name=LOW_NOISE, weight_dtype="default")
    graph["shift_low"] = node("ModelSamplingSD3", model=["model_low", 0], shift=5.0)
    sources = {"high": ["shift", 0], "low": ["shift_low", 0]}
    if cache:
        graph = cached(graph, options, low_noise_model=["shift_low", 0])
        sources = {"high": ["cache", 0], "low": ["cache", 1]}
    parts = sorted({0: "high", 9: "low", **(more or {})}.items())
    ends = [*(start for start, _ in parts[1:]), steps]
    for (start, name), end in zip(parts, ends, strict=True):
        add_part(graph, sources[name], start, end, steps)
    return graph


def add_part(graph, model, start, end, steps):
    """A KSamplerAdvanced that makes these steps of the schedule, behind the one before it."""
    before = f"part to {start}"
    shared = ("cfg", "sampler_name", "scheduler", "positive", "negative")
    known = {name: graph["sampler"]["inputs"][name] for name in shared}
    graph["sampler" if end == steps else f"part to {end}"] = node(
        "KSamplerAdvanced",
        **known,
        model=model,
        latent_image=[before if before in graph else "latent", 0],
        noise_seed=SEED,
        steps=steps,
        add_noise="disable" if start else "enable",
        start_at_step=start,
        end_at_step=end,
        return_with_leftover_noise="disable" if end == steps else "enable",
    )


def node(class_type, **inputs):
    """One node in API format."""
    return {"class_type": class_type, "inputs": inputs}


__all__ = [
    "APPLY",
    "OPTIONS",
    "cached",
    "experts",
    "frames",
    "plain",
    "psnr",
    "render",
    "said",
    "traces",
]
