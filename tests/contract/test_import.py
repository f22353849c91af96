"""Installing the pack and starting ComfyUI costs next to nothing and brings in nothing new."""

from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.every_host


def test_the_host_loads_the_archive(fresh):
    assert fresh["loaded"] is True
    assert {node["python_module"] for node in fresh["nodes"]} == {"custom_nodes.wan-step-cache"}


def test_loading_the_pack_imports_the_pack_alone(fresh):
    own = fresh["module"]
    outside = {name for name in fresh["added"] if name != own and not name.startswith(own + ".")}
    assert outside == set()
    assert len(fresh["added"]) < 160


def test_every_module_loaded_is_a_file_of_the_archive(fresh, archive, installed):
    packed = {str(installed / name) for name in ZipFile(archive).namelist()}
    assert {file for file in fresh["added"].values() if file not in packed} == set()


def test_every_module_of_the_archive_is_loaded_at_start(fresh, archive, installed):
    """So that a broken file shows when ComfyUI starts, not in the middle of a render."""
    names = [name for name in ZipFile(archive).namelist() if name.endswith(".py")]
    assert {str(installed / name) for name in names} == set(fresh["added"].values())


def test_the_browser_gets_the_folder_of_scripts_and_help_once(fresh, installed):
    """Help pages are looked up under the name of the pack's folder."""
    assert fresh["web"] == {"wan-step-cache": str(installed / "js")}
