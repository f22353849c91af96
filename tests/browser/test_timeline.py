"""The timeline on a node: what a user sees while the tiny Wan renders."""

import json
import re

import pytest
from checkout import ROOT
from graph import cached, experts, plain, traces

pytestmark = pytest.mark.server
COMPUTED = "CMX"
(EXAMPLE,) = (ROOT / "tests" / "assets" / "tiny_wan" / "example_workflows").glob("*.json")
APPLY, SAMPLER, STEPS = 3, 7, 30
"""In the example: its Apply node, its sampler, and what that does."""


@pytest.fixture(scope="module")
def finished(tab, server):
    """A tab in which the tiny example has run by pressing Run, and the trace of that run."""
    workflow = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    (sampler,) = (node for node in workflow["nodes"] if node["id"] == SAMPLER)
    sampler["widgets_values"][0] = 31 + tab.nodes2
    tab.load_saved(workflow)
    tab.press_run()
    tab.wait_for_timeline("saved")
    tab.screenshot("timeline")
    (trace,) = traces_of(tab, server, APPLY)
    return tab, trace


def traces_of(tab, server, node="cache"):
    """The traces of the prompt that the timeline of a node shows, once it is over."""
    prompt = tab.property(node)["shown"]["prompt"]
    server.wait(prompt)
    return traces(server, prompt)


def speedup_of(tab):
    """The speed-up that the timeline says."""
    return float(re.search(r"([\d.]+)x,", tab.timeline())[1])


def test_it_ends_with_the_numbers_of_the_trace(finished):
    tab, trace = finished
    summary = trace["summary"]
    rows = [r for r in trace["records"] if r["branch"] == "cond"]
    computed = sum(r["action"] == "compute" for r in rows)
    said = tab.timeline()
    assert f"{computed} of {summary['steps']} steps computed" in said
    assert speedup_of(tab) == pytest.approx(summary["estimated_speedup"], abs=0.0051)
    (run,) = tab.property(APPLY)["shown"]["runs"]
    letters = run["branches"]["cond"]["row"]
    for record in rows:
        assert (letters[record["step"]] in COMPUTED) == (record["action"] == "compute")
        known = run["metric"][record["step"]]
        assert (known is None) == (record["metric"] is None)


def test_a_cell_explains_itself(finished):
    tab, trace = finished
    first = next(r for r in trace["records"] if r["step"] == 0 and r["branch"] == "cond")
    assert tab.hover(0.01, 0.1).startswith(f"Step 1 of {STEPS}, cond: computed")
    assert first["reason"] in tab.hover(0.01, 0.1)
    last = f"Step {STEPS} of {STEPS}, uncond: computed (forced), last steps"
    assert tab.hover(0.99, 0.4).startswith(last)


def test_it_is_described_for_those_who_do_not_see_it(finished):
    tab, _ = finished
    assert tab.timeline().startswith("Step cache timeline: ")
    assert tab.page.get_by_role("img", name="Step cache timeline").count() == 1


def test_it_never_enters_the_prompt(finished):
    tab, _ = finished
    inputs = tab.prompt()[str(APPLY)]["inputs"]
    assert set(inputs) >= {"model", "preset", "residual_diff_threshold"}
    assert not [name for name in inputs if "timeline" in name]


def test_it_survives_saving_and_loading(finished):
    tab, _ = finished
    before, saved = tab.timeline(), tab.saved()
    tab.open()
    tab.wait_for_timeline("saved")  # the page has kept it by itself
    tab.load_saved(saved)
    assert tab.timeline() == before


def test_another_workflow_whose_node_has_the_same_id_has_not_run(finished):
    tab, _ = finished
    saved = tab.saved()
    tab.load_saved(json.loads(EXAMPLE.read_text(encoding="utf-8")))
    assert tab.timeline() == "Step cache timeline: no run yet" and tab.drawn_pixels() == 0
    tab.load_saved(saved)
    assert f"of {STEPS} steps computed" in tab.timeline()


def test_a_copy_of_the_node_has_not_run(finished):
    tab, _ = finished
    tab.evaluate(
        "(id) => { const { canvas } = app; canvas.selectItems([app.graph.getNodeById(id)]);"
        " canvas.copyToClipboard(); canvas.pasteFromClipboard() }",
        APPLY,
    )
    tab.wait("() => document.querySelector('[aria-label^=\"Step cache timeline: no run yet\"]')")
    tab.load_saved(tab.evaluate("() => { app.graph.remove(app.graph.nodes.at(-1)); "
                                "return app.graph.serialize() }"))


def test_the_other_renderer_shows_the_same(finished):
    tab, _ = finished
    before = tab.timeline()
    for there in (not tab.nodes2, tab.nodes2):
        tab.set("Comfy.VueNodes.Enabled", there)
        tab.page.wait_for_timeout(500)
        assert tab.timeline() == before
        assert tab.drawn_pixels() > 100


def test_a_static_method_shows_its_plan_then_both_experts_on_one_axis(tab, server):
    graph = experts(cache=True)
    graph["cache"]["class_type"] = "WanStepCache_TaylorSeer"
    graph["cache"]["inputs"] = {
        "model": ["shift", 0], "low_noise_model": ["shift_low", 0], "preset": "balanced",
        "interval": 3, "max_order": 1, "first_enhance": 3, "last_steps": 1,
    }  # fmt: skip
    for part in ("sampler", "part to 9"):
        graph[part]["inputs"]["noise_seed"] = 51 + tab.nodes2
    tab.load(graph)
    tab.press_run()
    tab.wait_for_timeline("of 20 steps computed")
    tab.wait("() => { const kept = app.graph.getNodeById('cache')"
                               ".properties.wan_step_cache_timeline;"
                               " return kept?.shown.runs.length === 2 }")
    runs = tab.property()["shown"]["runs"]
    assert [run["steps"] for run in runs] == [9, 11]
    for run, trace in zip(runs, traces_of(tab, server), strict=True):
        assert run["plan"] == trace["methods"][0]["plan_by_step"]
        assert len(run["plan"]) == run["steps"]
    cost = sum(run["steps"] / run["speedup"] for run in runs)
    assert speedup_of(tab) == pytest.approx(20 / cost, abs=0.0051)
    tab.screenshot("experts")


def test_in_a_subgraph_it_is_alive_too(tab, server):
    tab.load(cached(plain(seed=71 + tab.nodes2)))
    tab.evaluate(
        "() => { const graph = app.graph;"
        " graph.convertToSubgraph(new Set([graph.getNodeById('cache')])) }"
    )
    tab.press_run()
    tab.wait(
        "() => { const inner = app.graph.nodes.find((n) => n.subgraph)?.subgraph.nodes"
        ".find((n) => n.comfyClass === 'WanStepCache_FBCache');"
        " return inner?.properties.wan_step_cache_timeline }"
    )


def test_several_nodes_show_each_its_own_runs(tab, server):
    """Two samplers behind each other, an Apply node for each, with equal numbers."""
    graph = cached(plain(seed=81 + tab.nodes2))
    graph["again"] = {**graph["sampler"], "inputs": {**graph["sampler"]["inputs"]}}
    graph["again"]["inputs"] |= {"model": ["other", 0], "latent_image": ["sampler", 0], "steps": 14}
    graph["other"] = graph["cache"]
    graph["decode"]["inputs"]["samples"] = ["again", 0]
    tab.load(graph)
    tab.press_run()
    tab.wait(
        "() => ['cache', 'other'].every((id) => app.graph.getNodeById(id)"
        ".properties.wan_step_cache_timeline)"
    )
    steps = [[run["steps"] for run in tab.property(node)["shown"]["runs"]]
             for node in ("cache", "other")]
    assert steps == [[12], [14]]


def test_another_tab_with_the_same_workflow_hears_nothing(tab, chromium, server):
    other = type(tab)(chromium, server.url, tab.nodes2, tab.light)
    graph = cached(plain(seed=91 + tab.nodes2))
    for page in (tab, other):
        page.load(graph)
    tab.press_run()
    tab.wait_for_timeline("saved")
    assert other.timeline() == "Step cache timeline: no run yet"
    assert other.errors == []
    other.close()
