"""Starting ComfyUI with the pack costs next to nothing and brings in nothing new."""

import pytest
from checkout import ROOT, published_files
from pack import NAME

pytestmark = pytest.mark.every_host


def test_loading_the_pack_imports_the_pack_alone(fresh):
    outside = {name for name in fresh["added"] if name != NAME and not name.startswith(NAME + ".")}
    assert outside == set()
    assert len(fresh["added"]) < 160


def test_every_module_loaded_is_a_published_file(fresh):
    published = {str(ROOT / name) for name in published_files()}
    assert {file for file in fresh["added"].values() if file not in published} == set()


def test_every_published_module_is_loaded_at_start(fresh):
    """So that a broken file shows when ComfyUI starts, not in the middle of a render."""
    modules = {str(ROOT / name) for name in published_files() if name.endswith(".py")}
    assert modules - set(fresh["added"].values()) == set()
