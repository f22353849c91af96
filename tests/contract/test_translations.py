"""What the host shows of the nodes in Chinese: all of them, and nothing that is not there.

Labels of options are not among it: the host translates names and tooltips of inputs alone, so
tooltips name options by the words that the widgets show.
"""

import json
import re

import pytest
from checkout import ROOT

ZH = ROOT / "locales" / "zh"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
FIGURES = re.compile(r"\d+(?:\.\d+)?")
SYNTAX = re.compile(r"[{}@|]")
"""Letters that mean something in messages of the browser's library."""

NARROW = re.compile(r"[\u4e00-\u9fff][,;:!?()]|[,;!?()][\u4e00-\u9fff]")
"""Western punctuation beside Chinese letters."""


@pytest.fixture(scope="module")
def zh(fresh):
    """What the host gives the browser."""
    return fresh["translations"]["zh"]


def english(node):
    """The texts of a node, under the keys that the browser looks translations up by."""
    inputs = {
        name: {"name": name, "tooltip": extra["tooltip"]}
        for section in ("required", "optional")
        for name, (_, extra) in node["input"].get(section, {}).items()
    }
    told = zip(node["output_name"], node["output_tooltips"], strict=True)
    outputs = {str(i): {"name": name, "tooltip": tip} for i, (name, tip) in enumerate(told)}
    words = {"display_name": node["display_name"], "description": node["description"]}
    return {**words, "inputs": inputs, "outputs": outputs}


def leaves(value, path=""):
    """Every text by its path."""
    if not isinstance(value, dict):
        return {path: value}
    parts = (leaves(inner, f"{path}.{key}") for key, inner in value.items())
    return {place: text for part in parts for place, text in part.items()}


@pytest.mark.every_host
def test_the_host_gives_the_browser_all_of_it(zh, fresh):
    assert fresh["translations"].keys() == {"zh"}
    own = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in ZH.glob("*.json")}
    assert zh == {**own["main"], "nodeDefs": own["nodeDefs"]}


def test_every_text_of_every_node_is_there_and_no_other(zh, nodes):
    wanted = leaves({name: english(node) for name, node in nodes.items()})
    assert leaves(zh["nodeDefs"]).keys() == wanted.keys()


def test_menu_and_slot_have_names(zh, nodes):
    (category,) = {node["category"].rsplit("/", 1)[-1] for node in nodes.values()}
    assert zh["nodeCategories"].keys() == {category}
    types = {kind for node in nodes.values() for kind in node["output"]}
    assert zh["dataTypes"].keys() == {kind for kind in types if kind.startswith("WANSTEPCACHE")}


def test_texts_are_chinese_and_safe_to_show(zh):
    texts = leaves(zh)
    assert {path: text for path, text in texts.items() if not CHINESE.search(text)} == {}
    assert {path: text for path, text in texts.items() if SYNTAX.search(text)} == {}
    assert {path: text for path, text in texts.items() if NARROW.search(text)} == {}
    assert {path: text for path, text in texts.items() if text != text.strip()} == {}


def test_tooltips_have_the_figures_of_the_english_ones(zh, nodes):
    for name, node in nodes.items():
        here, there = leaves(zh["nodeDefs"][name]), leaves(english(node))
        for path, text in there.items():
            if path.endswith((".tooltip", ".description")):
                told = set(FIGURES.findall(here[path]))
                assert told == set(FIGURES.findall(text)), f"{name}{path}"


def test_nodes_keep_the_names_of_their_methods(zh, nodes):
    for name, node in nodes.items():
        (method,) = re.findall(r"^Apply (.+)$", node["display_name"]) or [""]
        assert method in zh["nodeDefs"][name]["display_name"]
