"""What the registry, the manager and a reader of the repository see."""

import re

import pytest
from checkout import ROOT, published_files, repository_files, text_of

THREE_PARTS = r"\d+\.\d+\.\d+"


@pytest.fixture
def project(fresh):
    """pyproject's [project] as ComfyUI reads it."""
    return fresh["pyproject"]["project"]


def test_the_registry_gets_what_it_asks_for(project, fresh):
    assert project["name"] == "wan-step-cache"
    assert 20 < len(project["description"]) < 200
    assert project["license"] == {"file": "LICENSE", "text": ""}
    assert project["dependencies"] == []
    assert project["supported_os"] == ["OS Independent"]
    assert fresh["pyproject"]["tool_comfy"]["display_name"] == "Wan Step Cache"
    assert re.fullmatch(r"[a-z][a-z0-9-]+", fresh["pyproject"]["tool_comfy"]["publisher_id"])


def test_the_oldest_comfyui_is_named_in_three_parts(project):
    assert project["supported_comfyui_version"] == ">=0.18.2"
    assert re.fullmatch(rf"(>=)?{THREE_PARTS}", project["supported_comfyui_version"])


def test_the_browser_folder_is_named_in_one_place_only(fresh):
    """`web` beside WEB_DIRECTORY loads every script twice."""
    assert "web" not in fresh["tool"]


def test_the_version_is_that_of_the_newest_changes(project):
    assert re.fullmatch(THREE_PARTS, project["version"])
    entries = re.findall(rf"^## \[?({THREE_PARTS})\]?", text_of("CHANGELOG.md"), re.MULTILINE)
    assert entries[0] == project["version"]
    numbers = [tuple(map(int, entry.split("."))) for entry in entries]
    assert numbers == sorted(set(numbers), reverse=True)


def test_the_licence_is_apache(project):
    text = text_of(project["license"]["file"])
    assert "Apache License" in text and "Version 2.0, January 2004" in text
    assert len(text) > 9000


def test_what_is_published_is_the_pack_and_its_texts():
    published = published_files()
    for name in ("__init__.py", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        assert name in published
    places = {name.split("/")[0] for name in published if "/" in name}
    assert places <= {"cache_core", "nodes", "js", "locales", "example_workflows"}
    size = sum((ROOT / name).stat().st_size for name in published)
    assert size < 5e6


def test_nothing_runs_before_the_pack_is_loaded():
    scripts = {
        "install.py",
        "prestartup_script.py",
        "requirements.txt",
        "setup.py",
        "node_list.json",
    }
    assert scripts & set(published_files()) == set()


FLAGGED = {  # what the registry's scan marks in any file, code or prose
    "network operations": r"\.(connect|bind|send|sendall)\s*\(|aiohttp\.ClientSession",
    "environment manipulation": r"os\.environ|os\.getenv|os\.putenv",
    "command injection": r"\bsubprocess\b|os\.system|os\.popen|shell\s*=\s*True",
    "blacklisted address": r"://raw\.githubusercontent\.com",
    "code from text": r"\b(eval|exec)\s*\(|__import__|importlib\.",
    "package installs": r"\bpip\s+install\b|\bpip3?\.main\b",
    "active pictures": r"\bon(load|error)\s*=",
    "downloads": r"\b(urlopen|urlretrieve|requests\.get|torch\.hub)\b",
    "untrusted pickles": r"\bpickle\b|torch\.load\b",
}


@pytest.mark.parametrize("what", FLAGGED)
def test_nothing_published_looks_like_an_attack_to_a_scanner(what):
    lines = [
        f"{name}:{number}: {line.strip()}"
        for name in published_files()
        for number, line in enumerate(text_of(name).splitlines(), 1)
        if re.search(FLAGGED[what], line)
    ]
    assert lines == []


HAZARDS = {  # what breaks other people's set-ups
    "a device by name": r"\.cuda\(|[\"']cuda[\"':]",
    "global settings of torch": r"float32_matmul_precision|backends\.(cuda|cudnn)\.|set_default_",
    "logging of the whole host": r"logging\.basicConfig|\.propagate\s*=",
    "emptied caches": r"empty_cache|soft_empty_cache",
    "a host function replaced": r"^\s*comfy\.[\w.]+\s*=[^=]|setattr\(\s*comfy",
}


@pytest.mark.parametrize("what", HAZARDS)
def test_nothing_published_reaches_beyond_the_pack(what):
    scripts = [name for name in published_files() if name.endswith(".py")]
    found = [name for name in scripts if re.search(HAZARDS[what], text_of(name), re.MULTILINE)]
    assert found == []


MACHINES = ["/" + "work/", "/" + "root/", "pypi" + ".org", "python" + "hosted", "C:" + "\\Users"]


@pytest.mark.parametrize("words", MACHINES)
def test_no_file_names_a_machine_or_a_package_index(words):
    start = b"(?<![\\w.])" if words[0] == "/" else b""  # not inside a longer path
    named = re.compile(start + re.escape(words.encode()))
    files = [name for name in repository_files() if not name.endswith(".safetensors")]
    assert [name for name in files if named.search((ROOT / name).read_bytes())] == []


def test_files_are_small_enough_for_a_repository():
    large = {name: (ROOT / name).stat().st_size for name in repository_files()}
    assert {name: size for name, size in large.items() if size > 8e6} == {}


TEXTS = [name for name in repository_files() if name.endswith(".md")]


@pytest.mark.parametrize("name", TEXTS)
def test_links_within_the_repository_lead_somewhere(name):
    links = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", text_of(name))
    missing = [link for link in links if not ((ROOT / name).parent / link).exists()]
    assert missing == []
