"""The file a model was loaded from, for what only its name tells."""

from __future__ import annotations

from typing import Any

from .downstream import is_link

MODEL_FILES = (".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".bin")


def file_name(patcher: Any, prompt: dict[str, Any] | None, node_id: str, slot: str) -> str | None:
    """What the loader of the model in input ``slot`` of a node was told to load; None if unknown.

    By the prompt, else (nodes that hand models on without their loader in the prompt) by what the
    host's own loaders leave on the patcher. Nodes that take a model and a file of their own (LoRA
    loaders) are passed by.
    """
    return _upstream(prompt or {}, node_id, slot) or _remembered(patcher)


def _upstream(prompt: dict[str, Any], node_id: str, slot: str) -> str | None:
    """Follow model inputs from node to node until one loads a file instead."""
    for _ in range(len(prompt)):
        link = prompt.get(node_id, {}).get("inputs", {}).get(slot)
        if not is_link(link):
            return None
        node_id = link[0]
        inputs = prompt.get(node_id, {}).get("inputs", {})
        onward = [name for name, value in inputs.items() if name.startswith("model")]
        slot = _onward(inputs, onward, link[1])
        if not slot:
            return next((v for v in inputs.values() if _is_model_file(v)), None)
    return None


def _onward(inputs: dict[str, Any], models: list[str], output: int) -> str | None:
    """The model input behind an output of a node: the second of two for the second output."""
    linked = [name for name in models if is_link(inputs[name])]
    if is_link(inputs.get("low_noise_model")) and output == 1:
        return "low_noise_model"
    return linked[0] if linked else None


def _is_model_file(value: Any) -> bool:
    return isinstance(value, str) and value.lower().endswith(MODEL_FILES)


def _remembered(patcher: Any) -> str | None:
    factory = getattr(patcher, "cached_patcher_init", None)
    if factory is None:
        return None
    return next((str(value) for value in factory[1] if _is_model_file(value)), None)
