"""A saved workflow as the API prompt that the browser would queue.

Knows nothing of the code that makes the examples: it reads a file as the browser does, by the
names and the order that the host declares.
"""

BROWSER_ONLY = ("MarkdownNote", "Note")
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3")


def api_prompt(workflow, object_info):
    """{node id: {class_type, inputs}}."""
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    return {
        str(node["id"]): {
            "class_type": node["type"],
            "inputs": {**widget_values(node, object_info[node["type"]]), **linked(node, sources)},
        }
        for node in workflow["nodes"]
        if node["type"] not in BROWSER_ONLY
    }


def linked(node, sources):
    """What other nodes feed."""
    fed = [given for given in node["inputs"] if given["link"] is not None]
    return {given["name"]: sources[given["link"]] for given in fed}


def widget_values(node, info):
    """The values of the widgets by name; those of the browser alone are left out."""
    names = list(widget_names(info))
    pairs = zip(names, node["widgets_values"], strict=True)
    return {name: value for name, value in pairs if name is not None}


def widget_names(info):
    """The names in the order of widgets_values, None for those of the browser alone."""
    declared = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    for name, (kind, *settings) in declared.items():
        if isinstance(kind, list) or kind in WIDGETS:
            yield name
        extra = ("control_after_generate", "image_upload")
        yield from (None for name in extra if settings and settings[0].get(name))
