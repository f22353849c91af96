"""What a user gets: the pack in a real ComfyUI, driven over HTTP."""

import time

import numpy as np
import pytest
from graph import APPLY, OPTIONS, cached, experts, plain, psnr, render, said

from devtools.client import ExecutionFailed

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def uncached(server):
    return render(server, plain())[0]


@pytest.mark.every_host
def test_the_pack_loads_without_a_word_of_complaint(server):
    loaded = {name: server.object_info(name)["python_module"] for name in (APPLY, OPTIONS)}
    assert set(loaded.values()) == {"custom_nodes.wan-step-cache"}
    lines = server.log_text().splitlines()
    about_us = [line for line in lines if "custom_nodes/wan-step-cache" in line]
    assert about_us
    assert not [line for line in about_us if "warn" in line.lower() or "fail" in line.lower()]


@pytest.mark.every_host
def test_a_cached_render_reuses_steps_and_looks_the_same(server, uncached):
    picture, (trace,) = render(server, cached())
    assert trace["summary"]["branches"]["cond"]["reused"] >= 2
    assert psnr(uncached, picture) > 25
    assert trace["summary"]["failsafes"] == {}


def test_the_trace_file_agrees_with_itself(server):
    _, (trace,) = render(server, cached(plain(steps=16)))
    summary, records = trace["summary"], trace["records"]
    for branch, row in summary["branches"].items():
        actions = [r["action"] for r in records if r["branch"] == branch]
        assert row == {"computed": actions.count("compute"), "reused": actions.count("reuse")}
        assert [r["step"] for r in records if r["branch"] == branch] == list(range(16))
    assert trace["methods"][0]["node"] == "cache"
    assert trace["methods"][0]["settings"]["threshold"] == 0.12
    assert summary["peak_cache_bytes"] > 0


@pytest.mark.every_host
def test_threshold_zero_is_the_exact_original(server, uncached):
    picture, (trace,) = render(server, cached(residual_diff_threshold=0.0))
    assert np.array_equal(picture, uncached)
    assert trace["summary"]["branches"]["cond"]["reused"] == 0


def test_nothing_survives_a_run(server):
    first, _ = render(server, cached(plain(seed=101)))
    render(server, cached(plain(seed=102, length=9)))
    server.post_json("/free", {"free_memory": True})
    again, (trace,) = render(server, cached(plain(seed=101)))
    assert trace["summary"]["branches"]["cond"]["reused"] >= 2
    assert np.array_equal(first, again)


def test_an_interrupted_render_leaves_the_next_one_alone(server):
    before, _ = render(server, cached(plain(seed=201)))
    prompt_id = server.queue(cached(plain(seed=202, steps=400)))
    wait_for_log(server, "400", prompt_id)
    server.interrupt()
    with pytest.raises(ExecutionFailed):
        server.wait(prompt_id)
    server.post_json("/free", {"free_memory": True})
    assert np.array_equal(before, render(server, cached(plain(seed=201)))[0])


@pytest.mark.every_host
def test_two_experts_are_cached_each_for_itself(server):
    reference, _ = render(server, experts(cache=False))
    picture, (high, low) = render(server, experts(cache=True))
    assert high["summary"]["branches"]["cond"]["reused"] >= 1
    assert low["summary"]["branches"]["cond"]["reused"] >= 1
    assert low["records"][0]["action"] == "compute"
    assert psnr(reference, picture) > 25


def test_the_log_line_names_model_numbers_savings_and_failsafes(server):
    render(server, cached(plain(seed=301), preset="balanced"))
    line = [text for text in server.log_text().splitlines() if "FBCache balanced" in text][-1]
    for word in ("Wan T2V other", "residual_rel_l1 <", "reused", "x,", "MiB", "failsafes: none"):
        assert word in line


@pytest.mark.every_host
def test_the_node_shows_what_the_run_did(server):
    (text,) = said(server, cached(plain(seed=401)))["progress_text"]
    assert text.data["node"] == "cache"
    for word in ("of 12 reused", "saved", "custom: residual_rel_l1 < 0.12", "failsafes: none"):
        assert word in text.data["text"]


@pytest.mark.every_host
def test_a_node_that_got_another_id_shows_its_runs(server):
    """As when a node is copied, or becomes part of a subgraph: the inputs are equal."""
    render(server, cached(plain(seed=402)))
    graph = cached(plain(seed=403))
    graph["5:1"] = graph.pop("cache")
    graph["sampler"]["inputs"]["model"] = ["5:1", 0]
    (text,) = said(server, graph)["progress_text"]
    assert text.data["node"] == "5:1"


def wait_for_log(server, word, prompt_id):
    """Wait until the sampler's progress bar of this prompt shows in the log."""
    deadline = time.monotonic() + 60
    while f"/{word} [" not in server.log_text():
        assert time.monotonic() < deadline, f"{prompt_id} did not start"
        assert server.history(prompt_id) is None
        time.sleep(0.05)
