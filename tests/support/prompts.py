"""Conditions of several kinds for the tiny Wan, made as the host's nodes make them.

Import it only after the host (fixture ``host``).
"""

import torch
import wan
from comfy.controlnet import ControlBase
from comfy.patcher_extension import WrappersMP


def prompt(seed, **settings):
    """A prompt of its own, with settings of the host."""
    ((text, extra),) = wan.conditioning(seed)
    return [[text, {**extra, **settings}]]


def combined():
    """Two prompts over the whole picture."""
    return prompt(1) + prompt(3)


def unlike():
    """Two prompts of different length, which the host cannot batch."""
    return prompt(1) + wan.conditioning(3, tokens=5)


def areas(*boxes):
    """A prompt for each box (height, width, top, left), in shares of the picture."""
    return [
        entry
        for seed, (height, width, top, left) in enumerate(boxes, 3)
        for entry in prompt(
            seed, area=("percentage", 1.0, height, width, 0.0, top, left), strength=1.0
        )
    ]


def halves():
    """A prompt for the left half, one for the right."""
    return areas((1.0, 0.5, 0.0, 0.0), (1.0, 0.5, 0.0, 0.5))


def alone():
    """A prompt for the left half, and none for the rest."""
    return areas((1.0, 0.5, 0.0, 0.0))


def inset():
    """A prompt for the whole picture, and one for a part of it that has a shape of its own."""
    return prompt(1) + areas((0.5, 1.0, 0.25, 0.0))


def crossing():
    """Three areas of two shapes that overlap."""
    return areas((1.0, 0.5, 0.0, 0.0), (1.0, 0.75, 0.0, 0.25), (1.0, 0.5, 0.0, 0.5))


def masked(bounds=False):
    """A prompt for the left half by a mask, one for the rest by its opposite."""
    mask = torch.zeros(1, 16, 16)
    mask[..., :8] = 1
    both = ((1, mask), (3, 1 - mask))
    return [
        entry
        for seed, where in both
        for entry in prompt(seed, mask=where, mask_strength=1.0, set_area_to_bounds=bounds)
    ]


class Control(ControlBase):
    """A control model that says a number between two percents; several make a chain."""

    def __init__(self, value, start=0.0, end=1.0, previous=None):
        super().__init__()
        self.value = value
        self.set_cond_hint(torch.zeros(1), 1.0, (start, end))
        self.set_previous_controlnet(previous)

    def get_control(self, x, t, cond, batched, options):
        earlier = self.previous_controlnet
        total = earlier.get_control(x, t, cond, batched, options) if earlier is not None else None
        start, end = self.timestep_range
        if not end <= float(t[0]) <= start:
            return total
        own = torch.tensor(self.value)
        return {"output": [own + total["output"][0] if total else own]}

    def get_models(self):
        return []


class TakesControl:
    """A pack that gives Wan what it has not: behind a block it adds what a control model says."""

    def __init__(self):
        self.now = None

    def diffusion_model(self, executor, *args, **kwargs):
        self.now = kwargs.get("control")
        return executor(*args, **kwargs)

    def block(self, args, extra):
        image = extra["original_block"](args)["img"]
        return {"img": image if self.now is None else image + self.now["output"][0]}


def taking_control(model):
    """A clone whose second block takes what a control model says."""
    clone, takes = model.clone(), TakesControl()
    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "control", takes.diffusion_model)
    clone.set_model_patch_replace(takes.block, "dit", "double_block", 1)
    return clone


def controlled(*links):
    """Both branches with a chain of control models: (value, start percent, end percent) of each."""
    chain = None
    for link in links:
        chain = Control(*link, previous=chain)
    return {
        "positive": prompt(1, control=chain, control_apply_to_uncond=False),
        "negative": prompt(2, control=chain, control_apply_to_uncond=False),
    }
