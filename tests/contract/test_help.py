"""The pages behind the nodes' help buttons say what the nodes are."""

import re

import pytest
from checkout import ROOT, published_files
from documents import links, quoted, sections, tables, title

from cache_core.decision import Reason

FOLDER = ROOT / "js" / "docs"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
ANSWERS = ["When to use it", "Inputs", "Outputs"]
ANSWERS_OF_CACHES = [
    *(*ANSWERS, "Typical values", "What it tells you"),
    *("No speed-up", "Quality dropped", "Source"),
]
CACHES = {"MODEL", "WANSTEPCACHE_OPTIONS"}
"""What a node puts out that has to do with the speed of a sampling."""
TABLE_OF_INPUTS = ("input", "default", "range", "effect")
PLAIN_TYPES = {
    "MODEL": "model",
    "LATENT": "latent",
    "IMAGE": "images",
    "WANSTEPCACHE_OPTIONS": "Step Cache Options",
}
PRESET_TABLES = tables((ROOT / "docs" / "presets.md").read_text(encoding="utf-8"))
WORDS_OF_THE_HOST = {"dpmpp_2m", "res_multistep"}
FEW = 5
"""More options than that are listed below the table of inputs."""


@pytest.fixture(params=PAGES)
def node_id(request):
    return request.param


@pytest.fixture
def page(node_id):
    return PAGES[node_id]


@pytest.fixture
def node(node_id, nodes):
    return nodes[node_id]


def inputs_of(node):
    """(name, type, what the schema says of it, optional) in the order of the node."""
    return [
        (name, *node["input"][section][name], section == "optional")
        for section in ("required", "optional")
        for name in node["input_order"].get(section, [])
    ]


def test_every_node_has_a_page_and_every_page_is_published(nodes):
    assert sorted(PAGES) == sorted(nodes)
    pages = [name for name in published_files() if name.startswith("js/docs/")]
    assert pages == [f"js/docs/{node_id}.md" for node_id in PAGES]


def test_a_page_has_the_name_of_its_node(page, node):
    assert title(page) == node["display_name"]


def test_a_page_answers_what_people_ask(page, node):
    found = sections(page)
    wanted = ANSWERS_OF_CACHES if CACHES & set(node["output"]) else ANSWERS
    assert [name for name in found if name in wanted] == wanted
    assert all(text.strip() for text in found.values())


def default_of(kind, extra):
    """A default as pages write it."""
    default = extra.get("default")
    if kind == "BOOLEAN":
        return "on" if default else "off"
    if kind in ("INT", "FLOAT"):
        return f"{default:g}"
    if default is None:
        return "-"
    return f"`{default}`" if default else "empty"


def range_of(kind, extra, optional):
    """What an input takes, as pages write it."""
    if kind in ("INT", "FLOAT"):
        return f"{extra['min']:g} to {extra['max']:g}"
    if kind == "COMBO":
        listed = ", ".join(f"`{option}`" for option in extra["options"])
        return listed if len(extra["options"]) <= FEW else "listed below"
    if kind in ("BOOLEAN", "STRING"):
        return {"BOOLEAN": "on or off", "STRING": "text"}[kind]
    return PLAIN_TYPES[kind] + (", optional" if optional else "")


def test_the_table_of_inputs_is_that_of_the_schema(page, node):
    (table,) = tables(sections(page)["Inputs"])
    assert table.head == TABLE_OF_INPUTS
    wanted = [
        (
            f"`{name}`" + (" (advanced)" if extra.get("advanced") else ""),
            default_of(kind, extra),
            range_of(kind, extra, optional),
        )
        for name, kind, extra, optional in inputs_of(node)
    ]
    assert [row[:3] for row in table.rows] == wanted
    assert [row[0] for row in table.rows if len(row[3]) < 20 or row[3][-1] != "."] == []


def test_every_option_of_a_choice_is_named(page, node):
    named = set(quoted(sections(page)["Inputs"]))
    for name, kind, extra, _ in inputs_of(node):
        if kind == "COMBO":
            assert set(extra["options"]) - named == set(), name


def test_every_output_is_explained(page, node):
    told = re.findall(r"^- `(\w+)`: .+\.$", sections(page)["Outputs"], re.MULTILINE)
    assert told == node["output_name"]


def test_typical_values_are_those_of_the_presets(page):
    """Each table is one of docs/presets.md, or some of its columns and rows."""
    for table in tables(sections(page).get("Typical values", "")):
        whole = [known for known in PRESET_TABLES if set(table.head) <= set(known.head)]
        assert set(table.rows) <= set().union(*(known.columns(table.head) for known in whole))


def test_presets_are_told_of_every_node_that_has_them(page, node):
    told = tables(sections(page).get("Typical values", ""))
    assert bool(told) == ("preset" in node["input"]["required"])


def test_every_name_is_one_that_the_pack_has(page, nodes):
    every = [given for node in nodes.values() for given in inputs_of(node)]
    known = {name for name, *_ in every} | WORDS_OF_THE_HOST
    known |= {option for _, _, extra, _ in every for option in extra.get("options", ())}
    known |= {extra.get("default") for _, _, extra, _ in every}
    known |= {name for node in nodes.values() for name in node["output_name"]}
    names = {word for word in quoted(page) if re.fullmatch(r"\w+_[\w.]+", word)}
    assert names - known == set()


def test_reasons_are_those_that_the_console_says(page):
    reasons = {reason.value for reason in Reason}
    heads = re.findall(r"^- (`.+?`):", sections(page).get("No speed-up", ""), re.MULTILINE)
    assert {word for head in heads for word in quoted(head)} - reasons == set()


def test_links_lead_out_of_the_page(page):
    """The host opens a link as it stands, so one to another file of ours would lead nowhere."""
    assert [link for link in links(page) if not link.startswith("https://")] == []
    assert "<" not in page and "![" not in page


def test_pages_are_plain_text(page):
    assert page.isascii() and page.endswith("\n") and "\t" not in page
    assert [line for line in page.split("\n") if len(line) > 106 and line[0] != "|"] == []
