"""A prompt made small enough for a CPU, and long enough for a cache, by its inputs alone."""

from copy import deepcopy

SIDE, LENGTH, STEPS = 64, 9, 20
SIZES = {
    **dict.fromkeys(("width", "height"), SIDE),
    **dict.fromkeys(("length", "video_frames", "segment_length"), LENGTH),
    "motion_frame_count": 5,  # of LENGTH frames some have to be new
}
SIZED_OTHERWISE = ("ImageFromBatch", "Painter")
"""Nodes whose inputs of these names mean something else."""
MASK = ("SolidMask", {"value": 1.0, "width": SIDE, "height": SIDE})
PICTURES = ("EmptyImage", {"width": SIDE, "height": SIDE, "batch_size": LENGTH, "color": 0})
WITHOUT_SAM3 = {"SAM3_Detect": MASK, "SCAIL2ColoredMask": PICTURES}
"""What makes use of SAM 3, whose size its loader fixes, and the plain masks in its place."""


def small(prompt):
    """The same prompt for clips of 64 by 64 and 9 frames, without SAM 3."""
    prompt = deepcopy(prompt)
    replaced = {key for key, node in prompt.items() if node["class_type"] in WITHOUT_SAM3}
    for key, node in prompt.items():
        if node["class_type"] not in SIZED_OTHERWISE:
            node["inputs"].update((k, v) for k, v in SIZES.items() if k in node["inputs"])
        if key in replaced:
            kind, inputs = WITHOUT_SAM3[node["class_type"]]
            prompt[key] = {"class_type": kind, "inputs": dict(inputs)}
    return {key: with_first_outputs(node, replaced) for key, node in prompt.items()}


def with_first_outputs(node, replaced):
    """A node that takes the only output of what was replaced, whichever it took before."""
    inputs = {
        name: [value[0], 0] if isinstance(value, list) and value[0] in replaced else value
        for name, value in node["inputs"].items()
    }
    return {**node, "inputs": inputs}


def long(prompt):
    """The same prompt with 20 steps in every schedule; the experts of a pair share them evenly."""
    prompt = deepcopy(prompt)
    for node in prompt.values():
        if "steps" in node["inputs"]:
            node["inputs"]["steps"] = STEPS
        if node["class_type"] == "KSamplerAdvanced":
            node["inputs"].update(half_of_the_steps(node["inputs"]))
        if node["class_type"] == "SplitSigmas":
            node["inputs"]["step"] = STEPS // 2
    return prompt


def half_of_the_steps(inputs):
    """Where a sampler of a pair starts and ends: the first one is the one that starts at 0."""
    first = inputs["start_at_step"] == 0
    bounds = (0, STEPS // 2) if first else (STEPS // 2, 10000)
    return dict(zip(("start_at_step", "end_at_step"), bounds, strict=True))
