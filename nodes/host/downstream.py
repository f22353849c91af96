"""Which schedule the samplers behind a Step Cache Options node have, by the prompt alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Prompt = dict[str, Any]
"""{node id: {"class_type": ..., "inputs": {name: value, or a link [node id, output]}}}."""

NEARLY_ALL = 0.9999
"""The host takes a ``denoise`` above this for 1."""


def schedule_steps(prompt: Prompt, options_node: str) -> int | None:
    """Steps of the whole schedule of every sampler that the options reach; None if not one number.

    The models that the options go into are followed to the nodes that make a schedule of ``steps``:
    KSampler, KSamplerAdvanced, BasicScheduler and the like.
    """
    waiting, seen, found = [options_node], {options_node}, set()
    while waiting:
        source = waiting.pop()
        for node in consumers(prompt, source):
            if "steps" in prompt[node]["inputs"]:
                found.add(whole_steps(prompt[node]["inputs"]))
            elif node not in seen and not overruled(prompt, node, seen):
                seen.add(node)
                waiting.append(node)
    return found.pop() if len(found) == 1 else None


def consumers(prompt: Prompt, source: str) -> Iterator[str]:
    """Nodes that take options or a model from another one."""
    for node, known in prompt.items():
        links = known.get("inputs", {}).items()
        if any(carries(name) and is_link(link) and link[0] == source for name, link in links):
            yield node


def carries(name: str) -> bool:
    """True for inputs that take options or a model, whichever of several."""
    return name == "options" or "model" in name


def overruled(prompt: Prompt, node: str, seen: set[str]) -> bool:
    """True for a node of the chain that has other options: the last ones hold."""
    link = prompt[node]["inputs"].get("options")
    return is_link(link) and link[0] not in seen


def whole_steps(inputs: dict[str, Any]) -> int | None:
    """Steps of the whole schedule of a sampler or scheduler; None if not written in the prompt.

    Of the schedule of a ``denoise`` below 1 the host samples the last ``steps``.
    """
    steps, denoise = inputs["steps"], inputs.get("denoise", 1.0)
    if not isinstance(steps, int) or not isinstance(denoise, int | float) or denoise <= 0:
        return None
    return steps if denoise > NEARLY_ALL else int(steps / denoise)


def is_link(value: Any) -> bool:
    """True for [node id, output], as prompts write links."""
    return isinstance(value, list) and len(value) == 2
