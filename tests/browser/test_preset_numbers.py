"""Numbers that count with preset custom only."""

import pytest
from graph import cached

pytestmark = pytest.mark.server
NUMBER = "residual_diff_threshold"


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
