"""What a card shows of a workflow: the way of the model, and of pictures in and out, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..client import Json

ALSO_SHOWN = ("LoadImage", "SaveVideo", "SaveAnimatedWEBP")
NUMBERS = ("INT", "FLOAT", "STRING")
"""Links that say how, and not what."""

Link = tuple[int, int]


@dataclass(frozen=True)
class Schematic:
    """The nodes that are shown, from top to bottom, and what leads from one to another.

    links: (from node, to node): what arrives, a type of the host. Where it comes by nodes that are
    not shown, it is what the last of them hands on.
    """

    rows: tuple[tuple[Json, ...], ...]
    links: dict[Link, str]


def schematic(saved: Json) -> Schematic:
    """Of a workflow as the browser saves it."""
    nodes = {node["id"]: node for node in saved["nodes"] if shown(node)}
    links: dict[Link, str] = {}
    things = [link for link in saved["links"] if link[-1] not in NUMBERS]
    for number in nodes:
        for target, kind in _reached(number, things, nodes):
            links.setdefault((number, target), kind)
    depth = _depths(list(nodes), list(links))
    rows = [[n for n in nodes if depth[n] == level] for level in range(max(depth.values()) + 1)]
    return Schematic(tuple(tuple(nodes[n] for n in row) for row in rows), links)


def shown(node: Json) -> bool:
    """Whether a node has to do with the model, or is the pack's, or where pictures come and go."""
    kinds = {end["type"] for end in (*node["inputs"], *node["outputs"])}
    ours = node["type"].startswith("WanStepCache_")
    return ours or "MODEL" in kinds or node["type"] in ALSO_SHOWN


def _reached(
    number: int, links: list[list[Any]], nodes: dict[int, Json]
) -> Iterator[tuple[int, str]]:
    """The next nodes that are shown, and the type of the last link to each."""
    for _, source, _, target, _, kind in links:
        if source != number:
            continue
        if target in nodes:
            yield target, kind
        else:
            yield from _reached(target, links, nodes)


def _depths(nodes: list[int], links: list[Link]) -> dict[int, int]:
    """A row for every node, below all that lead to it; what starts something is right above it."""
    depth = dict.fromkeys(nodes, 0)
    for _ in nodes:
        for source, target in links:
            depth[target] = max(depth[target], depth[source] + 1)
    for node in nodes:
        fed = [depth[target] for source, target in links if source == node]
        if fed and all(target != node for _, target in links):
            depth[node] = min(fed) - 1
    return depth
