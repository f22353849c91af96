"""Apply nodes put into an API prompt, behind what loads its models."""

from copy import deepcopy

from devtools.demo_workflow import defaults

SAMPLES = ("LATENT", "GUIDER")
"""What comes out of a node that samples with a model, or gets one ready to."""
OPTIONS = "WanStepCache_Options"
NOT_APPLIED = ("WanStepCache_MagCacheCalibrate", "WanStepCache_Report")
EXPERTS = ("high", "low")


def apply_nodes(object_info):
    """The ids of the nodes that put a cache on a model, in order."""
    ours = {name for name in object_info if name.startswith("WanStepCache_")}
    return sorted(name for name in ours - {*NOT_APPLIED} if takes(object_info[name], "MODEL"))


def ended(prompt, object_info):
    """The prompt with an end: previews of what nobody uses, if nothing is saved or shown."""
    if any(object_info[node["class_type"]].get("output_node") for node in prompt.values()):
        return prompt
    used = {tuple(link) for node in prompt.values() for link in links_of(node)}
    previews = {
        f"preview {key}": {"class_type": "PreviewImage", "inputs": {"images": [key, slot]}}
        for key, node in prompt.items()
        for slot, kind in enumerate(object_info[node["class_type"]]["output"])
        if kind == "IMAGE" and (key, slot) not in used
    }
    return {**prompt, **previews}


def links_of(node):
    """Everything that a node is linked to."""
    return [value for value in node["inputs"].values() if isinstance(value, list)]


def behind_each(prompt, object_info, kind, **widgets):
    """The prompt with an Apply node of its own behind every model loader that a sampler has."""
    prompt = deepcopy(prompt)
    for loader in loaders(prompt, object_info):
        insert(prompt, object_info, kind, {"model": [loader, 0]}, widgets)
    return prompt


def behind_pairs(prompt, object_info, kind, **widgets):
    """The prompt with one Apply node for both experts of every pair; None if it has no pair."""
    prompt = deepcopy(prompt)
    found = pairs(prompt, object_info)
    for high, low in found:
        links = {"model": [high, 0], "low_noise_model": [low, 0]}
        insert(prompt, object_info, kind, links, widgets)
    return prompt if found else None


def insert(prompt, object_info, kind, links, widgets):
    """Adds an Apply node behind these outputs, and has all that used them use its own."""
    key = "+".join(["cache", *(loader for loader, _ in links.values())])
    outputs = {tuple(link): [key, place] for place, link in enumerate(links.values())}
    for node in prompt.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list) and tuple(value) in outputs:
                node["inputs"][name] = outputs[tuple(value)]
    inputs = {**defaults(object_info[kind]["input"]["required"]), **widgets, **links}
    prompt[key] = {"class_type": kind, "inputs": inputs}


def with_options(prompt, object_info, **widgets):
    """The prompt with one Step Cache Options for all of its Apply nodes."""
    prompt = deepcopy(prompt)
    for node in prompt.values():
        if node["class_type"] in apply_nodes(object_info):
            node["inputs"]["options"] = [OPTIONS, 0]
    inputs = {**defaults(object_info[OPTIONS]["input"]["required"]), **widgets}
    return {**prompt, OPTIONS: {"class_type": OPTIONS, "inputs": inputs}}


def pairs(prompt, object_info):
    """(high-noise loader, low-noise loader) of every pair: two of one subgraph, by their files."""
    found = {}
    for loader in loaders(prompt, object_info):
        file = next(value for value in prompt[loader]["inputs"].values() if "." in str(value))
        for expert in EXPERTS:
            if f"{expert}_noise" in file:
                found.setdefault(loader.rpartition(":")[0], {})[expert] = loader
    return [tuple(pair[e] for e in EXPERTS) for pair in found.values() if len(pair) == 2]


def loaders(prompt, object_info):
    """The nodes that make the models that something samples with, in order."""
    made = [key for key, node in prompt.items() if makes_model(object_info[node["class_type"]])]
    return [key for key in made if is_sampled(prompt, object_info, key)]


def makes_model(info):
    """True for a node that has a model and was given none."""
    return "MODEL" in info["output"] and not takes(info, "MODEL")


def takes(info, kind):
    """True for a node with an input of this type."""
    sections = [info["input"].get(name, {}) for name in ("required", "optional")]
    return any(spec[0] == kind for section in sections for spec in section.values())


def is_sampled(prompt, object_info, key):
    """Whether the model of a node comes to one that samples with it."""
    waiting, seen = [key], {key}
    while waiting:
        source = waiting.pop()
        for name, node in prompt.items():
            if name in seen or not has_model_of(node, prompt, object_info, source):
                continue
            if any(kind in SAMPLES for kind in object_info[node["class_type"]]["output"]):
                return True
            seen.add(name)
            waiting.append(name)
    return False


def has_model_of(node, prompt, object_info, source):
    """Whether a node is linked to an output of ``source`` that may be a model."""
    kinds = object_info[prompt[source]["class_type"]]["output"]
    return any(key == source and is_model(kinds[slot]) for key, slot in links_of(node))


def is_model(kind):
    """True for a model, and for what hands any type on."""
    return kind in ("MODEL", "COMFY_MATCHTYPE_V3", "*")
