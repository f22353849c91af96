"""What the browser asks the server for besides nodes: help pages and translations."""

import pytest
from checkout import ROOT

pytestmark = [pytest.mark.server, pytest.mark.every_host]


def ours(server):
    """The pack's nodes as the server describes them, by id."""
    known = server.get_json("/object_info")
    return {name: node for name, node in known.items() if name.startswith("WanStepCache_")}


def test_the_help_button_finds_a_page_for_every_node(server):
    """At the address that the browser puts together from the node's module and id."""
    for name, node in ours(server).items():
        parent, folder = node["python_module"].split(".")
        page = server.get(f"/extensions/{folder}/docs/{name}.md").decode()
        assert parent == "custom_nodes"
        assert page == (ROOT / "js" / "docs" / f"{name}.md").read_text(encoding="utf-8")


def test_the_browser_gets_chinese_texts_for_every_node(server):
    assert server.get_json("/i18n")["zh"]["nodeDefs"].keys() >= ours(server).keys()
