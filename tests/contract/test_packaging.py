"""What the registry, the manager and a reader of the repository see."""

import re
from zipfile import ZipFile

import pytest
from checkout import ROOT, published_files, repository_files, text_of, tracked_files

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


TOP = {"__init__.py", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"}
KINDS = {  # of files by folder
    *(("cache_core", "py"), ("cache_core", "json"), ("nodes", "py"), ("locales", "json")),
    *(("js", "js"), ("js", "md"), ("example_workflows", "json"), ("example_workflows", "jpg")),
}


def test_the_archive_holds_the_pack_and_its_texts_alone(archive):
    names = ZipFile(archive).namelist()
    assert {name for name in names if "/" not in name} == TOP
    kinds = {(n.split("/")[0], n.rsplit(".", 1)[-1]) for n in names if "/" in n}
    assert kinds <= KINDS
    assert {folder for folder, _ in kinds} == {folder for folder, _ in KINDS}
    assert archive.stat().st_size < 5e6


def test_git_tracks_nothing_that_these_tests_overlook():
    """The registry packs what git tracks. Without git there is nothing to compare."""
    assert set(tracked_files()) - set(repository_files()) == set()


def test_the_linter_checks_what_the_registry_validates():
    """Its command for that is ruff with these rules."""
    (chosen,) = re.findall(r"^select = \[(.*)\]$", text_of("pyproject.toml"), re.MULTILINE)
    (left_out,) = re.findall(r"^ignore = \[(.*)\]$", text_of("pyproject.toml"), re.MULTILINE)
    assert {'"S102"', '"S307"', '"E"'} <= set(chosen.split(", "))
    assert "E702" not in left_out


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
    "layers that ignore the host's dtypes": r"\bnn\.(Linear|Conv\dd|LayerNorm)\(|autocast\(",
}
PAGE_HAZARDS = {  # what breaks the page that all packs share
    "names of its own in the page": r"\b(window|globalThis)(\.\w+|\[[^]]+\])\s*=[^=]",
    "listeners on the whole document": r"\b(document|window)\.addEventListener",
    "methods of others replaced": r"\.prototype\.\w+\s*=[^=]|\b(app|api)\.\w+\s*=[^=]",
    "modules that the host deprecates": r"scripts/ui|extensions/core/|scripts/widgets",
    "words for the console": r"\bconsole\.(log|debug|info)\b",
}


@pytest.mark.parametrize("what", HAZARDS)
def test_nothing_published_reaches_beyond_the_pack(what):
    scripts = [name for name in published_files() if name.endswith(".py")]
    found = [name for name in scripts if re.search(HAZARDS[what], text_of(name), re.MULTILINE)]
    assert found == []


@pytest.mark.parametrize("what", PAGE_HAZARDS)
def test_no_script_reaches_beyond_the_pack(what):
    scripts = [name for name in published_files() if name.endswith(".js")]
    assert [name for name in scripts if re.search(PAGE_HAZARDS[what], text_of(name))] == []


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
