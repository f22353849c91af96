"""The example workflows as files: whole, tidy, and fit for a machine that is not ours."""

import json
import re
from itertools import combinations

import pytest
from checkout import ROOT
from host_templates import OfficialFile, official_files
from PIL import Image

from devtools.host_runtime import host_path
from devtools.templates.workflows import all_workflows

TINY_WAN = ROOT / "tests" / "assets" / "tiny_wan"
FOLDER, TINY_FOLDER = (root / "example_workflows" for root in (ROOT, TINY_WAN))
PUBLISHED, TINY = (sorted(folder.glob("*.json")) for folder in (FOLDER, TINY_FOLDER))
EXAMPLES = PUBLISHED + TINY
OURS = "WanStepCache_"
SHOWN = {  # the titles are addresses of saved links: they stay
    "MagCache calibration": {"MagCacheCalibrate"},
    "Wan 2.1 VACE - CustomCache": {"CustomCache"},
    "Wan 2.1 image to video - TeaCache": {"TeaCache"},
    "Wan 2.1 text to video - FBCache": {"FBCache"},
    "Wan 2.1 text to video - TeaCache": {"TeaCache"},
    "Wan 2.2 TI2V 5B - TaylorSeer": {"TaylorSeer"},
    "Wan 2.2 two experts - MagCache": {"MagCache"},
    "With and without cache - Compare": {"Compare", "EasyCache", "Report"},
    "Tiny Wan on any CPU - FBCache": {"FBCache"},
}
NOTE = "MarkdownNote"
TITLE_BAR = 30
EXTRA = {"seed": 1, "noise_seed": 1}
"""Widgets of the browser alone behind an input: what becomes of a seed, the upload button."""

EXTRA_OF = {"LoadImage": 1, "PrimitiveInt": 1}
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
    assert sorted(workflow.title for workflow in all_workflows()) == sorted(SHOWN)
    for folder, found in ((FOLDER, PUBLISHED), (TINY_FOLDER, TINY)):
        titles = [path.stem for path in found]
        files = {path.name for path in folder.iterdir()}
        assert files == {f"{title}.{end}" for title in titles for end in ("json", "jpg")}
    assert {path.stem for path in EXAMPLES} == set(SHOWN)


def test_it_shows_what_its_title_says(path, saved):
    types = [node["type"] for node in working(saved) if node["type"].startswith(OURS)]
    assert sorted(types) == sorted(OURS + name for name in SHOWN[path.stem])
    for node in working(saved):
        widgets = [given["widget"]["name"] for given in node["inputs"] if "widget" in given]
        if "preset" in widgets:
            assert node["widgets_values"][widgets.index("preset")] == "balanced"


def test_the_comparison_samples_twice_with_nothing_but_the_model_changed():
    saved = json.loads((FOLDER / "With and without cache - Compare.json").read_text("utf-8"))
    sources = {link[0]: link[1:3] for link in saved["links"]}
    without, with_cache = (node for node in saved["nodes"] if node["type"] == "KSampler")
    fed = [
        {given["name"]: sources.get(given["link"]) for given in node["inputs"]}
        for node in (without, with_cache)
    ]
    assert {name for name in fed[0] if fed[0][name] != fed[1][name]} == {"model"}
    assert fed[0]["seed"] is not None
    assert without["widgets_values"] == with_cache["widgets_values"]


def test_the_picture_opens_and_has_the_shape_of_a_card(path):
    file = path.with_suffix(".jpg")
    with Image.open(file) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("JPEG", (512, 512))
    assert file.stat().st_size < 60_000


def test_the_format_is_that_of_the_browser(saved, nodes_by_id):
    assert saved["version"] == 0.4
    assert len(nodes_by_id) == len(saved["nodes"])
    assert saved["last_node_id"] == max(nodes_by_id)
    assert saved["last_link_id"] == max(link[0] for link in saved["links"])
    assert sorted(node["order"] for node in saved["nodes"]) == list(range(len(nodes_by_id)))


@pytest.mark.every_host
def test_every_node_is_ours_or_the_hosts(path, saved, nodes):
    types = {node["type"] for node in working(saved)}
    ours = {name for name in types if name.startswith(OURS)}
    assert ours and ours <= set(nodes)
    files = [host_path() / "nodes.py", *(host_path() / "comfy_extras").glob("*.py")]
    files += [TINY_WAN / "nodes.py"] if path in TINY else []
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
        extra = EXTRA_OF.get(node["type"], sum(EXTRA.get(name, 0) for name in widgets))
        assert len(node["widgets_values"]) == len(widgets) + extra, node["type"]


def test_every_loader_says_where_its_file_comes_from(path, saved):
    for node in working(saved):
        loaded = [v for v in node["widgets_values"] if str(v).endswith(".safetensors")]
        models = node["properties"].get("models", [])
        there = [TINY_WAN / name for name in loaded] if path in TINY else []
        assert [model["name"] for model in models] == ([] if path in TINY else loaded)
        assert all(file.exists() for file in there)
        for model in models:
            assert model["url"].startswith("https://huggingface.co/Comfy-Org/")
            assert model["url"].endswith(f"/{model['directory']}/{model['name']}")


def test_files_and_addresses_are_those_of_the_hosts_own_templates(saved):
    models = [m for node in working(saved) for m in node["properties"].get("models", ())]
    assert {OfficialFile(**model) for model in models} <= official_files()


def test_the_note_links_every_file(path, saved):
    (note,) = [node for node in saved["nodes"] if node["type"] == NOTE]
    urls = {m["url"] for node in working(saved) for m in node["properties"].get("models", ())}
    assert bool(urls) == (path in PUBLISHED)
    assert {url for url in urls if f"]({url})" not in note["widgets_values"][0]} == set()


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
