"""The comparison with other packs, as the command runs it: errors and leaks are seen and told."""

import json
import os
import re
import subprocess
import sys

import pytest
from checkout import ROOT

from bench.peer_graph import filled
from bench.peer_packs import PEERS
from bench.peer_server import RenderFailed, Rig, plain
from bench.prompts import TUNING

pytestmark = pytest.mark.server

HEAD = """
class Node:
    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL",), "patch", "testing"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "strength": ("FLOAT", {"default": 1.25})}}
"""
LEAKY = """
class Leaks(Node):
    def patch(self, model, strength):
        inner = model.model.diffusion_model
        forward, calls = inner.forward, []
        def scaled(*args, **kwargs):
            calls.append(strength)
            return forward(*args, **kwargs) * (strength + len(calls) / 100)
        inner.forward = scaled
        return (model.clone(),)

class Scales(Node):
    def patch(self, model, strength):
        clone = model.clone()
        clone.set_model_unet_function_wrapper(
            lambda apply, args: apply(args["input"], args["timestep"], **args["c"]) * strength
        )
        return (clone,)

class Raises(Node):
    def patch(self, model, strength):
        raise ValueError(f"no blocks in {__file__}\\nsecond line")

NODE_CLASS_MAPPINGS = {"Leaks": Leaks, "Scales": Scales, "Raises": Raises}
"""
DEADLY = """
class Ends(Node):
    def patch(self, model, strength):
        import os
        os._exit(3)

NODE_CLASS_MAPPINGS = {"Ends": Ends}
"""
EASY = "EasyCache, input copied"
BROKEN = "raise ImportError(f'cannot import name gone from {__file__}\\nand more')"


def pack(folder, name, source):
    """A custom node pack of one file."""
    place = folder / name
    place.mkdir()
    (place / "__init__.py").write_text(source)
    return place


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peers")
    leaky = pack(folder, "leaky-pack", HEAD + LEAKY)
    (leaky / "pyproject.toml").write_text('[project]\nname = "leaky"\nversion = "4.5.6"\n')
    broken = pack(folder, "broken-pack", BROKEN)
    command = [sys.executable, "-m", "bench.peers", "--quick", "--out", folder / "out"]
    command += ["--only", EASY, "Leaks", "Scales", "Raises", "--peer", leaky, "--peer", broken]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.fixture(scope="module")
def found(out):
    return json.loads((out / "peers.json").read_text())


@pytest.fixture(scope="module")
def packs(found):
    return {one["pack"]: one for one in found["packs"]}


@pytest.fixture(scope="module")
def methods(packs):
    return {m["method"]: m for one in packs.values() for m in one["methods"]}


def test_results_say_where_and_what_was_compared(found, packs):
    assert found["format"] == 1 and found["machine"]["cpu"] and found["date"]
    assert set(found["versions"]) == {"pack", "comfyui", "torch", "python"}
    assert found["settings"]["quick"] and len(found["settings"]["prompts"]) == 1
    assert list(packs) == ["ComfyUI", "Wan Step Cache", "leaky-pack", "broken-pack"]
    assert (packs["leaky-pack"]["version"], packs["leaky-pack"]["commit"]) == ("4.5.6", "")
    assert packs["ComfyUI"]["uncached"]["seconds"] > 0


def test_what_does_not_load_is_told_in_one_line(packs):
    broken = packs.pop("broken-pack")
    assert broken["error"] == "cannot import name gone from __init__.py"
    assert broken["methods"] == []
    assert [one["error"] for one in packs.values()] == [None, None, None]


def test_the_hosts_easycache_is_measured(methods):
    (row,) = methods[EASY]["rows"]
    assert row["settings"] == {"reuse_threshold": 0.2}
    assert 0.3 < row["computed_share"] < 1 and row["computed"] == [10 * row["computed_share"]]
    assert row["time_ratio"] > 0 and row["cpu_ratio"] > 0 and row["uncached_unchanged"]
    assert row["psnr"]["mean"] > 20 and row["ssim"]["mean"] > 0.8


def test_the_hosts_easycache_leaves_nothing_behind_and_knows_vace(methods):
    checks = methods[EASY]["checks"]
    assert checks["bypass"] == checks["vace_never"] == "yes"
    assert checks["vace_reusing"].startswith("yes: ")
    assert float(checks["vace_reusing"].split()[1]) < 10
    apart, together = (float(n) for n in re.findall(r"([0-9.]+) (?:dB )?with", checks["apart"]))
    assert apart > 20 and together > 20


def test_a_node_that_patches_its_own_clone_is_cleared(methods):
    scales = methods["Scales"]
    assert scales["checks"]["second_run"] == scales["checks"]["bypass"] == "yes"
    assert scales["rows"][0]["psnr"]["mean"] < 60


def test_what_a_pack_leaves_behind_is_seen_again_and_when_it_is_bypassed(methods):
    leaks = methods["Leaks"]
    for check in ("second_run", "bypass"):
        assert leaks["checks"][check].startswith("no: ")
        assert leaks["checks"][check].endswith("10 steps computed")
    assert leaks["checks"]["vace_never"].startswith("not tried")
    assert leaks["rows"][0]["computed_share"] == 1 and leaks["rows"][0]["psnr"]["mean"] < 60
    assert leaks["rows"][0]["uncached_unchanged"]


def test_a_node_that_raises_is_a_row(methods):
    raises = methods["Raises"]
    said = "ValueError: no blocks in __init__.py"
    assert raises["rows"] == [{"settings": {}, "error": said}]
    assert {raises["checks"][n] for n in ("second_run", "bypass", "vace_reusing")} == {
        f"error: {said}"
    }


def test_the_page_tells_all_of_it_and_no_place_on_this_machine(out, methods):
    page = (out / "peers.md").read_text()
    for name in methods:
        assert f"| {name} |" in page
    assert "no: cannot import name gone from __init__.py" in page
    assert "error: ValueError: no blocks in __init__.py" in page
    for text in (page, (out / "peers.json").read_text()):
        assert str(out.parent) not in text and str(ROOT) not in text


def loaded_elsewhere(folder, version, *packs):
    """What the command adds of the packs in a folder where they were measured on this version."""
    out = folder / "out"
    found = json.loads((out / "peers.json").read_text())
    found["versions"]["comfyui"] = version
    (folder / "older").mkdir(exist_ok=True)
    (folder / "older" / "peers.json").write_text(json.dumps(found))
    command = [sys.executable, "-m", "bench.peers", "--loads", "--out", folder / "older"]
    command += [word for name in packs for word in ("--peer", folder / name)]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )


def test_what_loads_on_another_comfyui_is_a_column_of_the_page(out, found):
    folder, host = out.parent, found["versions"]["comfyui"]
    done = loaded_elsewhere(folder, "0.1.0", "leaky-pack", "broken-pack")
    assert done.returncode == 0, done.stderr
    told = json.loads((folder / "older" / "peers.json").read_text())["elsewhere"][host]
    assert told["loads"] == {
        "Wan Step Cache": None, "leaky-pack": None,
        "broken-pack": "cannot import name gone from __init__.py",
    }  # fmt: skip
    page = (folder / "older" / "peers.md").read_text()
    assert f"| pack | version | loads on 0.1.0 | {host} |" in page
    assert "| leaky-pack | 4.5.6 | yes | yes |" in page
    assert "gone from __init__.py | no, as there |" in page


@pytest.mark.parametrize(
    ("version", "packs", "complaint"),
    [
        (None, ["leaky-pack"], "name another one with --comfyui"),
        ("0.1.0", ["unmeasured"], "holds no results of unmeasured"),
        ("0.1.0", ["missing"], "is no folder of a custom node pack"),
    ],
)
def test_what_loads_is_asked_of_measured_packs_elsewhere(out, found, version, packs, complaint):
    if not (out.parent / "unmeasured").exists():
        pack(out.parent, "unmeasured", "")
    done = loaded_elsewhere(out.parent, version or found["versions"]["comfyui"], *packs)
    assert done.returncode == 1 and complaint in done.stdout + done.stderr


@pytest.mark.matrix
def test_a_server_that_a_pack_has_ended_is_started_again(tmp_path):
    place = pack(tmp_path, "deadly", HEAD + DEADLY)
    with Rig({"deadly": place}) as rig:
        before = rig.render(TUNING[0], 2, (), "a")
        with pytest.raises(RenderFailed, match="ended by itself"):
            rig.render(TUNING[0], 2, rig.chain(("Ends",), {}), "b")
        assert rig.render(TUNING[0], 2, (), "a").digest == before.digest


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("cannot import x (/a/b/c.py)\nmore", "cannot import x (c.py)"),
        (r"in D:\comfy\pack\nodes.py: no", "in nodes.py: no"),
        ("no /view and 1/2", "no view and 1/2"),
        ("", ""),
        ("caf\u00e9", "caf?"),
    ],
)
def test_errors_are_one_line_without_paths(text, line):
    assert plain(text) == line


def test_inputs_are_filled_in_as_a_browser_does():
    required = {
        "model": ("MODEL",),
        "amount": ("FLOAT", {"default": 0.5}),
        "kind": (["first", "second"],),
        "mode": ("COMBO", {"options": ["one", "two"]}),
        "name": ("STRING", {"default": ""}),
    }
    info = {"input": {"required": required, "optional": {"more": ("INT", {"default": 3})}}}
    shown = {"amount": 0.5, "kind": "first", "mode": "one", "name": ""}
    assert filled(info, {}) == shown
    assert filled(info, {"kind": "second", "more": 1}) == {**shown, "kind": "second", "more": 1}


def test_packs_of_the_field_are_known():
    assert {method.node for method in PEERS} == {
        "TeaCache", "MagCache", "ApplyFBCacheOnModel", "ApplyTeaCachePatch",
        "ApplyFirstBlockCachePatch", "TaylorSeerLite", "SpectrumApplyWAN", "WanCacheOptimizer",
    }  # fmt: skip
