"""Report and Compare over HTTP: what a client without a browser finds in the history."""

import json

import pytest
from graph import cached, experts, frames, node, plain, psnr, traces

from devtools.client import ExecutionFailed

pytestmark = pytest.mark.server
GUARDS = {"warmup_steps": 4, "last_steps": 0}
"""Not those of other tests: what a server has rendered just before, it does not render again."""


def with_report(graph, model="cache", output=0):
    """The workflow with a Report behind its last sampler, whose latent is decoded."""
    latent, chosen = ["sampler", 0], [model, output]
    graph["report"] = node("WanStepCache_Report", latent=latent, model=chosen)
    graph["decode"]["inputs"]["samples"] = ["report", 0]
    for name, slot in (("summary", 2), ("json", 3)):
        graph[name] = node("PreviewAny", source=["report", slot])
    return graph


def ran(server, graph):
    """The outputs of a prompt by node, and its id."""
    prompt_id = server.queue(graph)
    return server.wait(prompt_id)["outputs"], prompt_id


def picture(server, outputs, name):
    """The first picture that a node shows."""
    return frames(server.view(**outputs[name]["images"][0]))[0]


@pytest.fixture(scope="module")
def pair(server):
    """Both experts, told of behind the second sampler."""
    return ran(server, with_report(experts(cache=True, options=GUARDS), output=1))


@pytest.mark.every_host
def test_the_report_is_what_the_trace_file_says(server, pair):
    outputs, prompt_id = pair
    runs = traces(server, prompt_id)
    found = json.loads(outputs["json"]["text"][0])
    assert found["schedules"] == [runs] and len(runs) == 2
    (text,) = outputs["report"]["text"]
    assert outputs["summary"]["text"] == [text]
    reused = sum(run["summary"]["branches"]["cond"]["reused"] for run in runs)
    assert text.startswith(f"both experts: cond {reused} of 20 reused")


@pytest.mark.every_host
def test_the_picture_can_be_fetched(server, pair):
    outputs, _ = pair
    assert picture(server, outputs, "report").shape[1:] == (1200, 3)
    assert outputs["report"]["images"][0]["type"] == "temp"


def test_the_clip_behind_the_report_is_whole(server, pair):
    outputs, _ = pair
    clip = frames(server.view(**outputs["save"]["images"][0]))
    assert len(clip) == 5


def test_a_report_added_later_tells_of_the_sampler_that_does_not_run_again(server):
    ran(server, cached(plain(seed=501)))
    outputs, prompt_id = ran(server, with_report(cached(plain(seed=501))))
    assert traces(server, prompt_id) == []
    (text,) = outputs["report"]["text"]
    assert text.startswith("1 of 1 samplings ran in an earlier prompt")
    assert "of 12 reused" in text


def test_without_a_cache_the_report_says_what_to_do(server):
    outputs, _ = ran(server, with_report(plain(seed=502), model="shift"))
    assert "Connect the output of an Apply node" in outputs["report"]["text"][0]
    assert "save" in outputs


def both(**candidate):
    """One workflow that renders without and with the cache and compares the two."""
    graph = with_report(cached(plain(seed=503)))
    graph["sampler without"] = node(
        "KSampler", **{**graph["sampler"]["inputs"], "model": ["shift", 0]}
    )
    graph["decode without"] = node("TinyWanDecode", samples=["sampler without", 0])
    pictures = {"reference": ["decode without", 0], "candidate": ["decode", 0], **candidate}
    graph["compare"] = node("WanStepCache_Compare", **pictures)
    for slot, name in enumerate(("side", "heat")):
        graph[name] = node("PreviewImage", images=["compare", slot])
    for slot, name in enumerate(("psnr", "ssim", "temporal", "words", "numbers"), 2):
        graph[name] = node("PreviewAny", source=["compare", slot])
    return graph


def test_compare_tells_what_the_cache_changed(server):
    outputs, _ = ran(server, both())
    sides = [picture(server, {"x": {"images": [one]}}, "x") for one in outputs["side"]["images"]]
    assert len(sides) == len(outputs["heat"]["images"]) == 5
    halves = [side[:, :128] for side in sides], [side[:, 128:] for side in sides]
    by_hand = psnr(*(stacked(half) for half in halves))
    told = float(outputs["psnr"]["text"][0])
    assert told == pytest.approx(by_hand, abs=0.3) and 20 < told < 60  # previews are of 8 bits
    numbers = json.loads(outputs["numbers"]["text"][0])
    assert numbers["psnr"] == told and len(numbers["frames"]["ssim"]) == 5
    assert outputs["compare"]["text"] == outputs["words"]["text"]
    assert picture(server, outputs, "compare").shape[1:] == (1200, 3)
    assert 0 < float(outputs["temporal"]["text"][0]) < 0.1 < float(outputs["ssim"]["text"][0]) < 1


def stacked(clip):
    import numpy

    return numpy.stack(clip)


@pytest.mark.every_host
def test_clips_of_another_length_are_refused_with_both_shapes(server):
    graph = both(candidate=["fewer", 0])
    graph["fewer"] = node("ImageFromBatch", image=["decode", 0], batch_index=0, length=3)
    with pytest.raises(ExecutionFailed, match="3 frames of 128x128, `reference` 5 frames of 128"):
        ran(server, graph)
