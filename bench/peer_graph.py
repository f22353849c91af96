"""The workflow of one measured render, in API format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from devtools.demo_workflow import SAMPLER, workflow

from .prompts import Prompt

Json = dict[str, Any]
Node = tuple[str, Json]
"""The id of a node, and its inputs but for the model."""
STOP = "stop"
CHOICES = "COMBO"


def graph(prompt: Prompt, steps: int, chain: Sequence[Node], copy: str, take: str) -> Json:
    """A clip of the tiny Wan behind `chain`.

    copy: renders of the same copy share one model object, as those of a user do. take: another
    one makes the host sample again instead of answering from memory.
    """
    nodes = workflow(None, *prompt, cached=False, steps=steps)  # type: ignore[arg-type]
    nodes["model"]["inputs"]["copy"] = copy  # no input of the node, but part of what it is known by
    _measured(nodes, _chained(nodes, chain), take)
    del nodes["save"]
    nodes["decode"]["inputs"]["samples"] = [STOP, 0]
    nodes["keep"] = node("StepCacheBench_Keep", images=["decode", 0], name=take)
    return nodes


def controlled(nodes: Json, strength: float) -> Json:
    """The workflow with a VACE model of random weights, and a control video of this strength."""
    nodes["model"] = node("StepCacheBench_Vace", copy=nodes["model"]["inputs"]["copy"])
    for branch in ("positive", "negative"):
        inputs = {"conditioning": [branch, 0], "samples": ["latent", 0], "strength": strength}
        nodes[f"control {branch}"] = node("StepCacheBench_VaceControl", **inputs)
        for place in ("start", SAMPLER):
            nodes[place]["inputs"][branch] = [f"control {branch}", 0]
    return nodes


def unlike(nodes: Json) -> Json:
    """The workflow with a negative of another length, which the host cannot batch with the other.

    So each branch is a model call of its own, as where memory is short.
    """
    nodes["longer"] = node("StepCacheBench_OneToken", conditioning=["negative", 0])
    for place in ("start", SAMPLER):
        nodes[place]["inputs"]["negative"] = ["longer", 0]
    return nodes


def node(class_type: str, **inputs: Any) -> Json:
    """One node."""
    return {"class_type": class_type, "inputs": inputs}


def _chained(nodes: Json, chain: Sequence[Node]) -> list[Any]:
    """Puts the chain behind the model and gives its end."""
    end = ["shift", 0]
    for number, (class_type, inputs) in enumerate(chain):
        name = f"patch {number}"
        nodes[name] = node(class_type, **{**inputs, "model": end})
        end = [name, 0]
    return end


def _measured(nodes: Json, model: list[Any], take: str) -> None:
    """Puts the meter around the sampler."""
    sampler = nodes[SAMPLER]["inputs"]
    first = {name: sampler[name] for name in ("positive", "negative")}
    nodes["start"] = node(
        "StepCacheBench_Start",
        **first,
        model=["model", 0],
        sampled=model,
        samples=sampler["latent_image"],
        take=take,
    )
    sampler.update(model=model, latent_image=["start", 0])
    nodes[STOP] = node("StepCacheBench_Stop", samples=[SAMPLER, 0])


def filled(info: Mapping[str, Any], given: Json) -> Json:
    """Inputs of a node as a browser would fill them in, but for those that are given."""
    required = info["input"].get("required", {})
    shown = {name: default(spec) for name, spec in required.items() if name != "model"}
    return {**{name: value for name, value in shown.items() if value is not None}, **given}


def default(spec: Sequence[Any]) -> Any:
    """What a new node shows in a widget; None where there is no widget."""
    kind, said = spec[0], spec[1] if len(spec) > 1 else {}
    choices = kind if isinstance(kind, list) else said.get("options") if kind == CHOICES else None
    return said.get("default", choices[0] if choices else None)
