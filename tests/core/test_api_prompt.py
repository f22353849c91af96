"""Saved workflows as prompts: every detour of the browser's graph, and its widgets in order."""

import pytest
from api_prompt import Unreadable, api_prompt

ANY = "COMFY_MATCHTYPE_V3"
NODES = {
    "Load": {"input": {"required": {"file": [["a.bin", "b.bin"], {}]}}},
    "Number": {"input": {"required": {"value": ["INT", {"control_after_generate": "fixed"}]}}},
    "Patch": {"input": {"required": {"clip": ["CLIP"], "model": ["MODEL"], "by": ["FLOAT", {}]}}},
    "Sample": {
        "input": {
            "required": {
                "model": ["MODEL"],
                "noise_seed": ["INT", {"control_after_generate": True}],
                "steps": ["INT", {"default": 20}],
                "sigma": ["FLOAT", {"forceInput": True}],
            },
            "optional": {"sampler": [["euler", "heun"]]},
        }
    },
    "Resize": {
        "input": {
            "required": {
                "how": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {
                        "options": [
                            {"key": "to", "inputs": {"required": {"width": ["INT", {}]}}},
                            {"key": "by", "inputs": {"required": {"factor": ["FLOAT", {}]}}},
                        ]
                    },
                ],
                "method": ["COMBO", {"options": ["area"]}],
            }
        }
    },
    "Picture": {"input": {"required": {"image": [["x.png"], {"image_upload": True}]}}},
    "CustomCombo": {"input": {"required": {"choice": ["COMBO", {"options": []}]}}},
}


def node(key, kind, values=(), mode=0, **inputs):
    """A saved node: inputs by name are (type, link), and those of widgets (type, link, True)."""
    saved = [
        {"name": name, "type": put[0], "link": put[1], **({"widget": {}} if put[2:] else {})}
        for name, put in inputs.items()
    ]
    return {"id": key, "type": kind, "mode": mode, "widgets_values": [*values], "inputs": saved}


def converted(nodes, links=(), subgraphs=()):
    """The prompt of a workflow; links are (id, from node, slot, to node, slot)."""
    saved = {"nodes": nodes, "links": [[*link, "*"] for link in links]}
    return api_prompt({**saved, "definitions": {"subgraphs": [*subgraphs]}}, NODES)


def subgraph(name, nodes, links, inputs=()):
    """A definition; -10 and -20 are its ends."""
    ends = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
    return {
        "id": name,
        "nodes": nodes,
        "links": [dict(zip(ends, link, strict=True)) for link in links],
        "inputs": [{"name": given} for given in inputs],
    }


def test_widgets_come_in_the_order_of_the_declaration():
    saved = [7, "randomize", 12, "heun"]
    found = converted([node(1, "Sample", saved, model=("MODEL", None))])
    assert found == {
        "1": {
            "class_type": "Sample",
            "inputs": {"noise_seed": 7, "steps": 12, "sampler": "heun"},
        }
    }


def test_widgets_newer_than_the_file_have_their_defaults():
    found = converted([node(1, "Sample", [7])])
    assert found["1"]["inputs"] == {"noise_seed": 7, "steps": 20, "sampler": "euler"}


def test_a_choice_brings_its_own_widgets_along():
    found = converted([node(1, "Resize", ["by", 0.5, "area"])])
    assert found["1"]["inputs"] == {"how": "by", "how.factor": 0.5, "method": "area"}


def test_what_only_the_browser_shows_is_left_out():
    found = converted([node(1, "Picture", ["x.png", "image"]), node(2, "MarkdownNote", ["Hello"])])
    assert found == {"1": {"class_type": "Picture", "inputs": {"image": "x.png"}}}


def test_the_index_of_a_list_of_ones_own_is_kept():
    found = converted([node(1, "CustomCombo", ["two", 1, "one", "two", ""])])
    assert found["1"]["inputs"] == {"choice": "two", "index": 1}


def test_more_values_than_widgets_are_an_error():
    with pytest.raises(Unreadable, match="Number 1 has more values"):
        converted([node(1, "Number", [1, "fixed", "what?"])])


def test_a_node_that_the_host_lacks_is_named():
    with pytest.raises(Unreadable, match="the host has no GetNode, SetNode"):
        converted([node(1, "GetNode"), node(2, "SetNode"), node(3, "Gone", mode=4)])


def test_a_link_stands_in_for_the_value_of_a_widget():
    found = converted(
        [node(1, "Number", [5, "fixed"]), node(2, "Sample", [7], steps=("INT", 9, True))],
        [(9, 1, 0, 2, 0)],
    )
    assert found["2"]["inputs"]["steps"] == ["1", 0]


def test_reroute_and_primitive_are_no_nodes_of_a_prompt():
    found = converted(
        [
            node(1, "Load", ["a.bin"]),
            node(2, "Reroute", inp=("*", 5)),
            node(3, "PrimitiveNode", [33, "fixed"]),
            node(4, "Sample", [7], model=("MODEL", 6), steps=("INT", 7, True)),
        ],
        [(5, 1, 0, 2, 0), (6, 2, 0, 4, 0), (7, 3, 0, 4, 1)],
    )
    assert set(found) == {"1", "4"}
    assert found["4"]["inputs"] == {
        "noise_seed": 7,
        "steps": 33,
        "sampler": "euler",
        "model": ["1", 0],
    }


@pytest.mark.parametrize(
    ("mode", "model"),
    [(0, {"model": ["2", 0]}), (4, {"model": ["1", 0]}), (2, {})],
    ids=["runs", "bypassed", "muted"],
)
def test_a_bypassed_node_hands_on_what_fits_and_a_muted_one_nothing(mode, model):
    found = converted(
        [
            node(1, "Load", ["a.bin"]),
            node(2, "Patch", [1.0], mode, clip=("CLIP", 4), model=("MODEL", 5)),
            node(3, "Sample", [7], model=("MODEL", 6)),
        ],
        [(4, 1, 1, 2, 0), (5, 1, 0, 2, 1), (6, 2, 0, 3, 0)],
    )
    given = found["3"]["inputs"]
    assert {name: given[name] for name in given if name == "model"} == model
    assert ("2" in found) == (mode == 0)


def test_a_muted_node_takes_the_widget_that_it_fed_with_it():
    found = converted(
        [node(1, "Number", [5], mode=2), node(2, "Sample", [7], steps=("INT", 9, True))],
        [(9, 1, 0, 2, 0)],
    )
    assert "steps" not in found["2"]["inputs"]


INSIDE = subgraph(
    "inside",
    [
        node(1, "Patch", [0.5], clip=("CLIP", None), model=("MODEL", 1), by=("FLOAT", 2, True)),
        node(2, "Sample", [7], model=("MODEL", 3), sigma=("FLOAT", 4)),
    ],
    [
        (1, -10, 0, 1, 1),
        (2, -10, 1, 1, 2),
        (3, 1, 0, 2, 0),
        (4, -10, 1, 2, 1),
        (5, 2, 0, -20, 0),
    ],
    ["model", "by"],
)


def within(values=(), mode=0, **inputs):
    """A prompt with that subgraph at node 8, between a loader and a sampler."""
    inputs = {"model": ("MODEL", 1), "by": ("FLOAT", None, True), **inputs}
    return converted(
        [
            node(7, "Load", ["a.bin"]),
            node(8, "inside", values, mode, **inputs),
            node(9, "Sample", [1], model=("MODEL", 2)),
            node(6, "Number", [3]),
        ],
        [(1, 7, 0, 8, 0), (2, 8, 0, 9, 0), (3, 6, 0, 8, 1)],
        [INSIDE],
    )


def test_a_subgraph_is_opened_and_its_ends_are_joined():
    found = within()
    assert set(found) == {"6", "7", "8:1", "8:2", "9"}
    assert found["8:1"]["inputs"]["model"] == ["7", 0]
    assert found["8:2"]["inputs"]["model"] == ["8:1", 0]
    assert found["9"]["inputs"]["model"] == ["8:2", 0]


@pytest.mark.parametrize(
    ("given", "value"),
    [({}, 0.5), ({"values": [0.7]}, 0.7), ({"by": ("FLOAT", 3, True)}, ["6", 0])],
    ids=["the value inside", "the value of the subgraph's node", "a link"],
)
def test_a_promoted_widget_feeds_all_that_the_input_feeds(given, value):
    found = within(**given)
    assert found["8:1"]["inputs"]["by"] == value
    assert found["8:2"]["inputs"]["sigma"] == value


def test_a_bypassed_subgraph_hands_on_its_input():
    found = within(mode=4)
    assert set(found) == {"6", "7", "9"}
    assert found["9"]["inputs"]["model"] == ["7", 0]


def test_a_widget_is_found_through_two_subgraphs():
    outside = subgraph(
        "outside",
        [node(5, "inside", model=("MODEL", None), by=("FLOAT", 1, True))],
        [(1, -10, 0, 5, 1)],
        ["by"],
    )
    nodes = [node(4, "outside", by=("FLOAT", None, True))]
    found = converted(nodes, (), [INSIDE, outside])
    assert found["4:5:1"]["inputs"]["by"] == found["4:5:2"]["inputs"]["sigma"] == 0.5
    nodes = [node(4, "outside", [0.9], by=("FLOAT", None, True))]
    found = converted(nodes, (), [INSIDE, outside])
    assert found["4:5:1"]["inputs"]["by"] == found["4:5:2"]["inputs"]["sigma"] == 0.9
