"""A saved workflow as the API prompt that the browser would queue.

Knows nothing of the code that makes the examples: it reads a file as the browser does, by the
names and the order that the host declares.
"""

from saved_graph import MISSING, Link, Value, Widget, opened

DYNAMIC = "COMFY_DYNAMICCOMBO_V3"
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR", "IMAGECOMPARE", DYNAMIC)
NEXT_SEED = ("fixed", "increment", "decrement", "randomize")
UPLOADS = ("image_upload", "audio_upload", "video_upload")
SHOWING = ("PreviewAny",)
"""Nodes whose widgets only show something."""
MADE_BY_THE_BROWSER = {"CustomCombo": ("index",)}
"""Widgets that no declaration has, behind those that are declared: those that the host takes."""


class Unreadable(ValueError):
    """A node has something that is not understood here."""


def api_prompt(workflow, object_info):
    """{node id: {class_type, inputs}}."""
    if unknown := unknown_nodes(workflow, object_info):
        raise Unreadable(f"the host has no {', '.join(unknown)}")
    nodes = opened(workflow).flat()
    return {key: api_node(node, scope, object_info) for key, node, scope in nodes}


def unknown_nodes(workflow, object_info):
    """The types of nodes that run and that the host does not have."""
    return sorted({node["type"] for _, node, _ in opened(workflow).flat()} - set(object_info))


def api_node(node, scope, object_info):
    """One node."""
    inputs = widget_values(node, object_info)
    for given in node.get("inputs", ()):
        source = scope.input(given, given["type"])
        if source is MISSING:
            inputs.pop(given["name"], None)
        elif isinstance(source, Link):
            inputs[given["name"]] = [source.node, source.slot]
        elif isinstance(source, Value):
            inputs[given["name"]] = source.value
        elif isinstance(source, Widget):
            inputs[given["name"]] = widget_values(source.node, object_info)[source.name]
    return {"class_type": node["type"], "inputs": inputs}


def widget_values(node, object_info):
    """The values of the widgets by name; those of the browser alone are left out.

    A file of an older host may end early: the browser then shows defaults.
    """
    info = object_info[node["type"]]
    declared = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    saved = list(node.get("widgets_values") or ())
    values = dict(taken(declared, saved))
    if extra := MADE_BY_THE_BROWSER.get(node["type"]):
        return {**values, **dict(zip(extra, saved, strict=False))}
    shows = node["type"] in SHOWING or any(uploads(spec) for spec in declared.values())
    if saved and not shows:
        raise Unreadable(f"{node['type']} {node['id']} has more values than widgets: {saved}")
    return values


def taken(declared, saved, prefix=""):
    """(name, value) of each widget, taken from the front of the saved ones."""
    for name, spec in declared.items():
        kind, settings = kind_and_settings(spec)
        if kind not in WIDGETS or settings.get("forceInput"):
            continue
        value = saved.pop(0) if saved else default(kind, settings)
        yield prefix + name, value
        if kind == DYNAMIC:
            yield from taken(chosen(settings, value), saved, f"{prefix}{name}.")
        if settings.get("control_after_generate") and saved and saved[0] in NEXT_SEED:
            saved.pop(0)


def kind_and_settings(spec):
    """Type and settings of an input; older nodes give the choices instead of a type."""
    kind, settings = spec[0], spec[1] if len(spec) > 1 else {}
    return ("COMBO", {"options": kind, **settings}) if isinstance(kind, list) else (kind, settings)


def default(kind, settings):
    """What the browser shows in a new node."""
    options = settings.get("options") or [None]
    first = options[0]["key"] if kind == DYNAMIC else options[0]
    return settings.get("default", first)


def chosen(settings, value):
    """The inputs that one choice of a dynamic combo brings along."""
    found = next(option["inputs"] for option in settings["options"] if option["key"] == value)
    return {**found.get("required", {}), **found.get("optional", {})}


def uploads(spec):
    """True for an input with a button for a file: it has values of its own behind all others."""
    return any(kind_and_settings(spec)[1].get(name) for name in UPLOADS)
