"""The example workflows on the real server: made for it, accepted by it, and they render."""

import copy
import io
import json
from urllib.parse import quote

import numpy as np
import pytest
from api_prompt import api_prompt
from checkout import ROOT
from graph import LOW_NOISE, traces
from PIL import Image

from devtools.client import PromptRejected
from devtools.demo_workflow import MODEL
from devtools.templates.examples import FOLDERS, made, present

pytestmark = pytest.mark.server

EXAMPLES = sorted((ROOT / "example_workflows").glob("*.json"))
TINY = sorted(FOLDERS["tiny_wan"].glob("*.json"))
REMEDY = "Run python3 -m devtools.templates."
PICTURED = ("WanImageToVideo", "WanVaceToVideo")
"""Nodes that put a picture into the prompts: the tiny Wan has no VAE for it."""

LATENTS = ("EmptyHunyuanLatentVideo", "Wan22ImageToVideoLatent", *PICTURED)
REPLACED = {
    "CLIPTextEncode": "TinyWanWords",
    "VAEDecode": "TinyWanDecode",
    **dict.fromkeys(LATENTS, "EmptyHunyuanLatentVideo"),
}
DROPPED = ("CLIPLoader", "VAELoader", "CLIPVisionLoader", "CLIPVisionEncode", "LoadImage")
MAGCACHE, CALIBRATE = "WanStepCache_MagCache", "WanStepCache_MagCacheCalibrate"
CALIBRATION = "of_the_example.safetensors"
SMALL = {"width": 128, "height": 128, "length": 17, "batch_size": 1}


@pytest.fixture(scope="module")
def object_info(server):
    return server.object_info()


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def workflow(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


@pytest.fixture
def prompt(workflow, object_info):
    return api_prompt(workflow, object_info)


def test_the_files_are_what_their_descriptions_say(object_info):
    expected = made(object_info)
    assert set(present()) == set(expected), REMEDY
    for path, content in expected.items():
        same = same_picture if path.suffix == ".jpg" else bytes.__eq__
        assert same(path.read_bytes(), content), f"{path.name} is out of date. {REMEDY}"


def same_picture(one, other):
    """Equal but for what another version of Pillow rounds in another way."""
    a, b = (np.asarray(Image.open(io.BytesIO(data)), dtype=float) for data in (one, other))
    return a.shape == b.shape and np.abs(a - b).mean() < 2


@pytest.mark.parametrize("pack", FOLDERS)
def test_the_templates_browser_is_given_them(server, pack):
    files = sorted(FOLDERS[pack].iterdir())
    listed = server.get_json("/workflow_templates")[pack]
    assert sorted(listed) == [path.stem for path in files if path.suffix == ".json"]
    for path in files:
        address = f"/api/workflow_templates/{pack}/{quote(path.name)}"
        assert server.get(address) == path.read_bytes()


def test_the_host_misses_nothing_but_the_model_files(server, workflow, prompt):
    with pytest.raises(PromptRejected) as refused:
        server.queue(prompt)
    found = [
        (error["type"], error["extra_info"].get("received_value"))
        for node in refused.value.reply["node_errors"].values()
        for error in node["errors"]
    ]
    models = [m for node in workflow["nodes"] for m in node["properties"].get("models", ())]
    assert sorted(found) == sorted(("value_not_in_list", model["name"]) for model in models)


def test_it_renders_with_the_tiny_model(server, prompt):
    graph = tiny(prompt)
    calibrate_for_magcache(server, graph)
    prompt_id = server.queue(graph)
    outputs = server.wait(prompt_id)["outputs"]
    assert any(file["filename"].endswith(".mp4") for file in saved_files(outputs))
    if CALIBRATE in kinds(graph):
        assert (server.base / "models" / "step_cache" / CALIBRATION).exists()
    else:
        reuses(graph, traces(server, prompt_id))


@pytest.mark.parametrize("path", TINY, ids=lambda path: path.stem)
def test_that_of_the_tiny_model_renders_as_it_is(server, object_info, path):
    graph = api_prompt(json.loads(path.read_text(encoding="utf-8")), object_info)
    prompt_id = server.queue(graph)
    outputs = server.wait(prompt_id)["outputs"]
    assert any(file["filename"].endswith(".webp") for file in saved_files(outputs))
    reuses(graph, traces(server, prompt_id))


def reuses(graph, runs):
    """Every sampler behind a node of the pack reused steps, and the others left no trace."""
    samplers = [node for node in graph.values() if node["class_type"].startswith("KSampler")]
    sources = [graph[node["inputs"]["model"][0]]["class_type"] for node in samplers]
    assert len(runs) == sum(kind.startswith("WanStepCache_") for kind in sources) > 0
    assert all(run["summary"]["branches"]["cond"]["reused"] for run in runs)


def kinds(graph):
    return [node["class_type"] for node in graph.values()]


def calibrate_for_magcache(server, graph):
    """Nothing is published for the tiny model: measure it first, then choose that file."""
    for key, node in graph.items():
        if node["class_type"] == MAGCACHE:
            links = {name: link for name, link in node["inputs"].items() if isinstance(link, list)}
            inputs = {**links, "name": "experts", "overwrite": True}
            server.run({**graph, key: {"class_type": CALIBRATE, "inputs": inputs}})
            node["inputs"]["calibration"] = "experts.safetensors"


def saved_files(outputs):
    return [file for shown in outputs.values() for file in shown.get("images", ())]


def tiny(prompt):
    """The same graph with the model, words and decoder that the test server has."""
    graph = {key: node for key, node in copy.deepcopy(prompt).items() if keeps(node)}
    for node in graph.values():
        node["inputs"] = {name: beyond(value, prompt) for name, value in node["inputs"].items()}
    for node in graph.values():
        kind, inputs = node["class_type"], node["inputs"]
        node["class_type"] = REPLACED.get(kind, kind)
        if kind == "UNETLoader":
            inputs["unet_name"] = LOW_NOISE if "low_noise" in inputs["unet_name"] else MODEL
        if kind == "CLIPTextEncode":
            node["inputs"] = {"text": "red disc fast" if inputs["text"].isascii() else ""}
        if kind == "VAEDecode":
            node["inputs"] = {"samples": inputs["samples"]}
        if kind in LATENTS:
            node["inputs"] = SMALL
        if kind == CALIBRATE:
            inputs["name"] = CALIBRATION
    return graph


def keeps(node):
    return node["class_type"] not in DROPPED


def beyond(value, prompt):
    """What feeds an input once nodes with pictures make nothing but an empty latent."""
    if not isinstance(value, list) or prompt[value[0]]["class_type"] not in PICTURED:
        return value
    node, slot = value
    inputs = prompt[node]["inputs"]
    return (inputs["positive"], inputs["negative"], [node, 0], 0)[slot]
