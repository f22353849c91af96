"""The graph of a saved workflow as the browser runs it: subgraphs opened, detours followed.

Bypassed nodes hand on an input of their output's type, Reroute its only one; a muted node, and all
inside of one, is not there. Ids of nodes inside of subgraphs are paths: "12:7".
"""

from dataclasses import dataclass, field

MUTED, BYPASSED = 2, 4
BROWSER_ONLY = ("MarkdownNote", "Note", "Reroute", "PrimitiveNode")
INPUTS, OUTPUTS = -10, -20
"""Ids of the two ends of a subgraph inside of it."""


@dataclass(frozen=True)
class Link:
    """Where an input gets its value: an output of a node that runs."""

    node: str
    slot: int


@dataclass(frozen=True)
class Value:
    """What an input gets instead of a link."""

    value: object


@dataclass(frozen=True)
class Widget:
    """The same, where it is the value of another node's widget."""

    node: dict
    name: str


MISSING = object()
"""Of an input that a muted node feeds."""


@dataclass(frozen=True)
class Scope:
    """The nodes of the workflow, or of a subgraph where it stands once.

    links: by id, from where to where: (node id, slot, node id, slot). given: what the node that
    stands for the subgraph says itself, by input slot.
    """

    nodes: dict
    links: dict
    definitions: dict
    definition: dict | None = None
    outer: "Scope | None" = None
    instance: dict | None = None
    path: str = ""
    given: dict = field(default_factory=dict)

    def flat(self):
        """(id, node, scope) of every node that runs, in the order of the file."""
        for node in self.nodes.values():
            if node.get("mode", 0) in (MUTED, BYPASSED) or node["type"] in BROWSER_ONLY:
                continue
            if node["type"] in self.definitions:
                yield from self.inside(node).flat()
            else:
                yield f"{self.path}{node['id']}", node, self

    def inside(self, instance):
        """The subgraph of a node."""
        definition = self.definitions[instance["type"]]
        ends = ("origin_id", "origin_slot", "target_id", "target_slot")
        inner = Scope(
            {node["id"]: node for node in definition["nodes"]},
            {link["id"]: tuple(link[end] for end in ends) for link in definition["links"]},
            self.definitions,
            definition,
            self,
            instance,
            f"{self.path}{instance['id']}:",
        )
        slots = [slot for slot in range(len(definition["inputs"])) if inner.promoted(slot)]
        inner.given.update(zip(slots, instance.get("widgets_values") or (), strict=False))
        return inner

    def fed(self, link, kind):
        """What a link brings to an input of this type: Link, Value, Widget, MISSING, or None."""
        origin, slot, _, _ = self.links[link]
        if origin == INPUTS:
            return self.from_outside(slot, kind)
        return self.output(self.nodes[origin], slot, kind)

    def from_outside(self, slot, kind):
        """What the subgraph gets at one of its inputs: by a link, else by a widget."""
        name = self.definition["inputs"][slot]["name"]
        links = {given["name"]: given.get("link") for given in self.instance["inputs"]}
        if links.get(name) is not None:
            return self.outer.fed(links[name], kind)
        return self.own(slot)

    def own(self, slot):
        """What an input that nothing is linked to stands for."""
        return Value(self.given[slot]) if slot in self.given else self.promoted(slot)

    def promoted(self, slot):
        """The first widget inside that an input of the subgraph feeds, None if it feeds none."""
        for target, place in self.targets(INPUTS, slot):
            node = self.nodes[target]
            name = node["inputs"][place]["name"]
            if "widget" in node["inputs"][place]:
                return self.inner_widget(node, name) or Widget(node, name)
        return None

    def targets(self, origin, slot):
        """(node id, slot) at which links from there end, but for the outputs of the subgraph."""
        ends = [link[2:] for link in self.links.values() if link[:2] == (origin, slot)]
        return [end for end in ends if end[0] != OUTPUTS]

    def inner_widget(self, node, name):
        """What an input of another subgraph stands for; None for one of a plain node."""
        if node["type"] not in self.definitions:
            return None
        inner = self.inside(node)
        names = [given["name"] for given in inner.definition["inputs"]]
        return inner.own(names.index(name))

    def output(self, node, slot, kind):
        """What an output of a node of this scope carries."""
        if node.get("mode", 0) == MUTED:
            return MISSING
        if node.get("mode", 0) == BYPASSED:
            return self.handed_on(node, slot, kind)
        if node["type"] == "Reroute":
            return self.input(node["inputs"][0], kind)
        if node["type"] == "PrimitiveNode":
            return Value(node["widgets_values"][0])
        if node["type"] in self.definitions:
            return self.inside(node).end(slot, kind)
        return Link(f"{self.path}{node['id']}", slot)

    def end(self, slot, kind):
        """What an output of the subgraph carries."""
        ends = [link for link, ends in self.links.items() if ends[2:] == (OUTPUTS, slot)]
        return self.fed(ends[0], kind) if ends else None

    def handed_on(self, node, slot, kind):
        """The input that a bypassed node gives out: at the same place if its type fits."""
        inputs = node["inputs"]
        fitting = [given for given in (*inputs[slot : slot + 1], *inputs) if fits(given, kind)]
        return self.input(fitting[0], kind) if fitting else None

    def input(self, given, kind):
        """What feeds an input of a node of this scope."""
        return None if given.get("link") is None else self.fed(given["link"], kind)


def fits(given, kind):
    """True for an input that has a type in common; "*" is every type."""
    one, other = (set(str(types).split(",")) for types in (given["type"], kind))
    return bool(one & other) or "*" in one | other


def opened(workflow):
    """The scope of a whole workflow."""
    definitions = workflow.get("definitions", {}).get("subgraphs", ())
    return Scope(
        {node["id"]: node for node in workflow["nodes"]},
        {link[0]: tuple(link[1:5]) for link in workflow["links"]},
        {definition["id"]: definition for definition in definitions},
    )
