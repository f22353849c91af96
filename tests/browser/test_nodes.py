"""Every node and every example in ComfyUI's own page."""

import json

import pytest
from checkout import ROOT
from graph import cached

pytestmark = pytest.mark.server
PACK = "custom_nodes.wan-step-cache"
FOLDERS = (ROOT, ROOT / "tests" / "assets" / "tiny_wan")
EXAMPLES = sorted(p for root in FOLDERS for p in (root / "example_workflows").glob("*.json"))
SOCKETS = ("MODEL", "LATENT", "IMAGE", "WANSTEPCACHE_OPTIONS")


@pytest.fixture(scope="module")
def ours(server):
    """What the server says of the pack's nodes, by id."""
    return {k: v for k, v in server.object_info().items() if v["python_module"] == PACK}


def test_every_node_mounts_and_shows_all_inputs(tab, ours):
    tab.evaluate("() => app.graph.clear()")
    for place, (name, info) in enumerate(ours.items()):
        shown = tab.evaluate(
            "([type, x, y]) => { const node = LiteGraph.createNode(type); node.pos = [x, y];"
            " app.graph.add(node); return { title: node.title,"
            " inputs: (node.inputs ?? []).map((i) => i.name),"
            " widgets: (node.widgets ?? []).map((w) => w.name) } }",
            [name, 420 * (place % 6), 560 * (place // 6)],
        )
        assert shown["title"] == info["display_name"]
        for kind in ("required", "optional"):
            for wanted, (declared, *_) in info["input"].get(kind, {}).items():
                place_of = "inputs" if declared in SOCKETS else "widgets"
                assert wanted in shown[place_of], (name, wanted)
    tab.evaluate("() => app.canvas.fitViewToSelectionAnimated?.()")
    tab.page.wait_for_timeout(500)
    tab.screenshot("nodes")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_loads_and_serialises(tab, example, server):
    tab.load_saved(json.loads(example.read_text()))
    missing = tab.evaluate(
        "() => app.graph.nodes.filter((n) => n.type && !n.isVirtualNode"
        " && !LiteGraph.registered_node_types[n.type] && !n.subgraph).map((n) => n.type)"
    )
    assert missing == []
    known = server.object_info()
    assert {node["class_type"] for node in tab.prompt().values()} <= set(known)


def test_the_help_button_opens_the_page_of_a_node(tab):
    tab.load(cached())
    tab.evaluate("() => app.canvas.selectItems([app.graph.getNodeById('cache')])")
    tab.page.get_by_test_id("info-button").click()
    for words in ("When to use it", "No speed-up", "Quality dropped"):
        tab.page.get_by_text(words).first.wait_for()
