"""Calibrating a pair of tiny experts, then MagCache by the file's name: over HTTP, as users do."""

import json

import numpy as np
import pytest
from graph import SEED, cached, experts, frames, node, plain, psnr, said, traces

from devtools.client import ExecutionFailed, PromptRejected

pytestmark = pytest.mark.server

CALIBRATE, MAGCACHE = "WanStepCache_MagCacheCalibrate", "WanStepCache_MagCache"
TEACACHE = "WanStepCache_TeaCache"
STEPS, SWITCH = 30, 13
NAME, FILE = "tiny pair", "tiny pair.safetensors"
NUMBERS = {"preset": "custom", "magcache_thresh": 0.12, "magcache_K": 4, "retention_ratio": 0.2}


def pair(class_type=None, seed=SEED, **inputs):
    """Two experts, 13 and 17 of 30 steps, with a node of the pack before both samplers."""
    graph = experts(cache=class_type is not None)
    if class_type is not None:
        models = {"model": ["shift", 0], "low_noise_model": ["shift_low", 0]}
        graph["cache"] = node(class_type, **models, **inputs)
    both = [graph["part to 9"]["inputs"], graph["sampler"]["inputs"]]
    for values, (start, end) in zip(both, ((0, SWITCH), (SWITCH, STEPS)), strict=True):
        values.update(start_at_step=start, end_at_step=end, steps=STEPS, noise_seed=seed)
    return graph


def rendered(server, graph):
    """The bytes of the clip, and the traces of the runs."""
    prompt_id = server.queue(graph)
    entry = server.wait(prompt_id)
    return server.view(**entry["outputs"]["save"]["images"][0]), traces(server, prompt_id)


def forget(server):
    """Makes the server run the next workflow from its first node."""
    server.post_json("/free", {"free_memory": True, "unload_models": True})


@pytest.fixture(scope="module")
def calibrated(server):
    """The pair measured in one workflow, on another seed than the renders."""
    clip, runs = rendered(server, pair(CALIBRATE, seed=77, name=NAME, overwrite=True))
    return clip, runs


@pytest.fixture(scope="module")
def uncached(server):
    return frames(rendered(server, pair())[0])


@pytest.fixture(scope="module")
def applied(server, calibrated):
    return rendered(server, pair(MAGCACHE, calibration=FILE, **NUMBERS))


def test_the_calibrated_render_is_the_render(server, calibrated):
    clip, runs = calibrated
    assert np.array_equal(frames(clip), frames(rendered(server, pair(seed=77))[0]))
    assert runs == []
    assert (server.base / "models" / "step_cache" / FILE).exists()


def test_apply_nodes_offer_the_file(server, calibrated):
    for name, widget in ((MAGCACHE, "calibration"), (TEACACHE, "coefficients")):
        given = server.object_info(name)["input"]["optional"][widget]
        assert FILE in given[1].get("options", given[0])


def test_it_reuses_steps_and_looks_the_same(applied, uncached):
    clip, runs = applied
    assert [run["summary"]["branches"]["cond"]["reused"] > 0 for run in runs] == [True, True]
    assert [run["summary"]["failsafes"] for run in runs] == [{}, {}]
    for run, section in zip(runs, ("high", "low"), strict=True):
        done = "".join(r["action"][0] for r in run["records"] if r["branch"] == "cond")
        assert done == run["methods"][0]["plan"].lower()
        assert f"calibration {FILE}, section {section}" in run["methods"][0]["notes"]
        assert f"{section} noise" in run["model"]
    assert psnr(uncached, frames(clip)) > 31  # measured: 34.4


def test_a_saved_workflow_gives_the_same_bytes(server, applied, tmp_path):
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(pair(MAGCACHE, calibration=FILE, **NUMBERS), indent=2))
    forget(server)
    clip, runs = rendered(server, json.loads(path.read_text()))
    assert clip == applied[0]
    plans = [[run["methods"][0]["plan"] for run in one] for one in (runs, applied[1])]
    assert plans[0] == plans[1]


def test_teacache_takes_the_polynomials_of_the_pair(server, calibrated, uncached):
    settings = {"preset": "custom", "rel_l1_thresh": 0.1, "use_ret_steps": False}
    graph = pair(TEACACHE, coefficients=FILE, model_variant="auto", **settings)
    clip, runs = rendered(server, graph)
    for run, section in zip(runs, ("high", "low"), strict=True):
        assert f"calibration {FILE}, section {section}" in run["methods"][0]["notes"]
        assert run["summary"]["failsafes"] == {}
    assert sum(run["summary"]["branches"]["cond"]["reused"] for run in runs) > 0
    assert psnr(uncached, frames(clip)) > 32  # measured: 35.4


def single(class_type, steps=12, **inputs):
    """One model and one KSampler with a node of the pack between."""
    graph = cached(plain(steps=steps))
    graph["cache"] = node(class_type, model=["shift", 0], **inputs)
    return graph


def test_measured_anew_under_the_same_name_it_is_applied_anew(server):
    """The Apply workflow did not change, but the file did."""
    apply = single(MAGCACHE, calibration="again.safetensors", **NUMBERS)
    found = []
    for steps in (12, 16):
        server.run(single(CALIBRATE, steps, name="again", overwrite=True))
        _, runs = rendered(server, apply)
        found.append([record["metric"] for record in runs[0]["records"]])
    assert found[0] != found[1]


def test_the_node_says_what_became_of_the_file(server):
    graph = single(CALIBRATE, name="told", overwrite=False)
    (text,) = said(server, graph)["progress_text"]
    assert text.data["node"] == "cache"
    assert "wrote told.safetensors, section single, 12 steps" in text.data["text"]
    before = (server.base / "models" / "step_cache" / "told.safetensors").read_bytes()
    forget(server)
    (text,) = said(server, graph)["progress_text"]
    assert "nothing was written" in text.data["text"]
    assert "overwrite" in text.data["text"]
    assert (server.base / "models" / "step_cache" / "told.safetensors").read_bytes() == before


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "", "..", "con", "/etc/x", "x" * 300])
def test_a_name_that_is_no_file_name_is_refused_before_queueing(server, name):
    with pytest.raises(PromptRejected, match="`name` is"):
        server.queue(single(CALIBRATE, name=name, overwrite=False))


def named_elsewhere(text):
    """Calibrate with its name from another node: known only when the node runs."""
    graph = single(CALIBRATE, name=["text", 0], overwrite=True)
    graph["text"] = node("PrimitiveString", value=text)
    return graph


def test_a_name_may_come_from_another_node(server):
    server.run(named_elsewhere("linked"))
    assert (server.base / "models" / "step_cache" / "linked.safetensors").exists()


def test_a_wrong_name_from_another_node_is_refused_when_the_node_runs(server):
    with pytest.raises(ExecutionFailed, match="`name` is"):
        server.run(named_elsewhere("../escaped"))
    assert not list(server.base.rglob("escaped*"))


def test_a_file_that_is_gone_is_refused_before_queueing(server):
    for class_type, widget in ((MAGCACHE, "calibration"), (TEACACHE, "coefficients")):
        with pytest.raises(PromptRejected, match=widget):
            server.queue(single(class_type, **{widget: "gone.safetensors"}))


def test_magcache_on_a_model_without_a_curve_names_the_remedy(server):
    graph = single(MAGCACHE, calibration="auto", **NUMBERS)
    with pytest.raises(ExecutionFailed, match="MagCache Calibrate") as failed:
        server.run(graph)
    assert failed.value.node_id == "cache"
