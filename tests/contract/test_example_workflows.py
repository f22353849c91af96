"""The example workflows as files: whole, tidy, and fit for a machine that is not ours."""

import json
import re
from itertools import combinations

import pytest
from checkout import ROOT
from PIL import Image

from devtools.host_runtime import host_path
from devtools.templates.workflows import all_workflows

FOLDER = ROOT / "example_workflows"
EXAMPLES = sorted(FOLDER.glob("*.json"))
NOTE = "MarkdownNote"
TITLE_BAR = 30
SEEDS = ("seed", "noise_seed")
PATHS = re.compile(r"(?<![\w.:/])/(?:home|root|work|tmp|mnt|usr|Users)/|\b[A-Z]:\\")


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def saved(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def nodes_by_id(saved):
    return {node["id"]: node for node in saved["nodes"]}


def working(saved):
    return [node for node in saved["nodes"] if node["type"] != NOTE]


def test_there_is_one_workflow_and_one_picture_per_description():
    titles = [workflow.title for workflow in all_workflows()]
    assert len(set(titles)) == len(titles) >= 3
    files = {path.name for path in FOLDER.iterdir()}
    assert files == {f"{title}.{end}" for title in titles for end in ("json", "jpg")}


def test_the_picture_opens_and_has_the_shape_of_a_card(path):
    with Image.open(path.with_suffix(".jpg")) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("JPEG", (640, 360))


def test_the_format_is_that_of_the_browser(saved, nodes_by_id):
    assert saved["version"] == 0.4
    assert len(nodes_by_id) == len(saved["nodes"])
    assert saved["last_node_id"] == max(nodes_by_id)
    assert saved["last_link_id"] == max(link[0] for link in saved["links"])
    assert sorted(node["order"] for node in saved["nodes"]) == list(range(len(nodes_by_id)))


@pytest.mark.every_host
def test_every_node_is_ours_or_the_hosts(saved, nodes):
    types = {node["type"] for node in working(saved)}
    ours = {name for name in types if name.startswith("WanStepCache_")}
    assert ours and ours <= set(nodes)
    files = [host_path() / "nodes.py", *(host_path() / "comfy_extras").glob("*.py")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    assert {name for name in types - ours if f'"{name}"' not in text} == set()


def test_the_ends_of_every_link_know_it(saved, nodes_by_id):
    for number, source, slot, target, place, kind in saved["links"]:
        start, end = nodes_by_id[source]["outputs"][slot], nodes_by_id[target]["inputs"][place]
        assert number in start["links"] and number == end["link"]
        assert start["type"] == end["type"] == kind
    known = {link[0] for link in saved["links"]}
    named = {given["link"] for node in working(saved) for given in node["inputs"]} - {None}
    assert named == known


def test_every_widget_has_its_value(saved):
    for node in working(saved):
        widgets = [given["widget"]["name"] for given in node["inputs"] if "widget" in given]
        expected = len(widgets) + sum(name in SEEDS for name in widgets)
        assert len(node["widgets_values"]) == expected, node["type"]


def test_every_loader_says_where_its_file_comes_from(saved):
    for node in working(saved):
        loaded = [v for v in node["widgets_values"] if str(v).endswith(".safetensors")]
        models = node["properties"].get("models", [])
        assert [model["name"] for model in models] == loaded
        for model in models:
            assert model["url"].startswith("https://huggingface.co/Comfy-Org/")
            assert model["url"].endswith(f"/{model['directory']}/{model['name']}")
            assert model["directory"] in ("diffusion_models", "text_encoders", "vae")


def test_the_note_links_every_file(saved):
    (note,) = [node for node in saved["nodes"] if node["type"] == NOTE]
    urls = {m["url"] for node in working(saved) for m in node["properties"].get("models", ())}
    assert urls and {url for url in urls if f"]({url})" not in note["widgets_values"][0]} == set()


def test_nothing_of_the_machine_that_made_it_is_inside(path):
    text = path.read_text(encoding="utf-8")
    assert text.isascii()
    assert not PATHS.search(text)


def rectangle(node):
    (x, y), (width, height) = node["pos"], node["size"]
    return x, y - TITLE_BAR, x + width, y + height


def test_no_node_lies_on_another(saved):
    for one, other in combinations(saved["nodes"], 2):
        a, b = rectangle(one), rectangle(other)
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, (one["type"], other["type"])


def test_every_node_is_in_one_frame(saved):
    for node in working(saved):
        left, top, right, bottom = rectangle(node)
        frames = [
            group["title"]
            for group in saved["groups"]
            for x, y, width, height in [group["bounding"]]
            if x <= left and y <= top and right <= x + width and bottom <= y + height
        ]
        assert len(frames) == 1, (node["type"], frames)


def test_it_reads_from_left_to_right(saved, nodes_by_id):
    """Every link leads to the right, or down within its column."""
    for _, source, _, target, _, _ in saved["links"]:
        start, end = rectangle(nodes_by_id[source]), rectangle(nodes_by_id[target])
        assert start[2] <= end[0] or (start[0] == end[0] and start[3] <= end[1])
