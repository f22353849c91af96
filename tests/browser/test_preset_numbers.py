"""Numbers that count with preset custom only."""

import pytest
from graph import cached

pytestmark = pytest.mark.server
NUMBER = "residual_diff_threshold"
HIDDEN = ("timeline", "last_steps")
"""No number, and one that only the classic renderer shows at once."""


def test_editing_one_switches_to_custom(tab):
    tab.load(cached(preset="fast"))
    tab.page.wait_for_timeout(300)
    assert tab.widgets()["preset"] == "fast" and tab.looks_unused(NUMBER)
    tab.increase(NUMBER)
    tab.wait("() => app.graph.getNodeById('cache').widgets[0].value === 'custom'")
    assert tab.widgets()[NUMBER] == pytest.approx(0.121)
    assert not tab.looks_unused(NUMBER)
    inputs = tab.prompt()["cache"]["inputs"]
    assert inputs["preset"] == "custom" and inputs[NUMBER] == pytest.approx(0.121)


def test_numbers_that_always_count_do_not(tab):
    tab.load(cached(preset="fast"))
    tab.page.wait_for_timeout(300)
    tab.evaluate(
        "() => { const w = app.graph.getNodeById('cache').widgets.find((w) => w.name === 'ema');"
        " w.value = 0.5; w.callback(0.5) }"
    )
    assert tab.widgets()["preset"] == "fast" and not tab.looks_unused("ema")


@pytest.mark.parametrize("preset", ["fast", "custom"])
def test_loading_a_workflow_is_no_edit(tab, preset):
    tab.load(cached(preset=preset, **{NUMBER: 0.3}))
    tab.page.wait_for_timeout(300)
    assert (tab.widgets()["preset"], tab.widgets()[NUMBER]) == (preset, 0.3)
    tab.load_saved(tab.saved())
    assert (tab.widgets()["preset"], tab.widgets()[NUMBER]) == (preset, 0.3)
    assert tab.looks_unused(NUMBER) == (preset == "fast")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("TeaCache", ["rel_l1_thresh"]),
        ("MagCache", ["magcache_thresh", "magcache_K", "retention_ratio"]),
        ("TaylorSeer", ["interval", "max_order", "first_enhance"]),
        ("AdaCache", ["codebook"]),
        ("CustomCache", ["rel_l1_thresh"]),
        ("EasyCache", ["reuse_threshold"]),
        ("CFGCache", ["interval", "start_percent", "end_percent"]),
    ],
)
def test_a_new_node_shows_which_numbers_count(tab, kind, names):
    tab.evaluate("() => app.graph.clear()")
    node = tab.add(kind)
    tab.page.wait_for_timeout(300)
    shown = [name for name in tab.widgets(node) if name not in HIDDEN]
    assert [name for name in shown if tab.looks_unused(name, node)] == names
