"""The picture at the top of the README, from a real run: copy it to docs/images/node.png."""

import pytest
from graph import cached, plain

pytestmark = [pytest.mark.server, pytest.mark.matrix]


def test_the_node_after_a_run(chromium, server):
    from browser import Page

    tab = Page(chromium, server.url, nodes2=True, density=2)
    graph = cached(plain("red disc fast", seed=7, steps=30), preset="balanced")
    tab.load(graph)
    tab.evaluate("() => { app.graph.getNodeById('cache').size[0] = 420 }")
    tab.press_run()
    tab.wait_for_timeline("saved")
    tab.page.mouse.move(5, 500)
    tab.page.wait_for_timeout(500)
    tab.picture_of_node("node")
    tab.close()
