"""The host's own Wan templates: with Apply nodes in them they are accepted, and they render."""

from importlib import import_module

import pytest
from api_prompt import api_prompt, unknown_nodes
from graph import traces
from inserting import apply_nodes, behind_each, behind_pairs, ended, with_options
from official_templates import names, template
from shrinking import WITHOUT_SAM3, long, small

from devtools.client import ExecutionFailed
from devtools.host_runtime import import_host

pytestmark = pytest.mark.server

TABLE = "Official templates"
CFG_CACHE = "WanStepCache_CFGCache"
REUSING = {
    "WanStepCache_AdaCache": {"codebook": "1000:2"},
    "WanStepCache_CFGCache": {"interval": 3},
    "WanStepCache_CustomCache": {"rel_l1_thresh": 1.0},
    "WanStepCache_EasyCache": {"reuse_threshold": 1.0},
    "WanStepCache_FBCache": {"residual_diff_threshold": 1.0},
    "WanStepCache_MagCache": {"magcache_thresh": 10.0, "calibration": "wan2.1_t2v_1.3B"},
    "WanStepCache_TaylorSeer": {"interval": 2},
    "WanStepCache_TeaCache": {"rel_l1_thresh": 1.0},
}
"""Numbers with which every method reuses steps of a model with random weights."""
IN_CI = ("video_wan2_2_14B_t2v", "video_wan_vace_flf2v")
"""Two experts, and VACE: most others need an image or audio encoder that takes half a minute."""
OF_FOUR_STEPS = ("03_video_wan2_2_14B_i2v_subgraphed",)
LEVELS = ("output", "hidden")
SAMPLERS = ("KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced")
AUTOREGRESSIVE = "SamplerARVideo"
MINUTES = 60.0


@pytest.fixture(scope="module")
def object_info(server):
    return server.object_info()


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """``tests/support/stand_ins.py``."""
    import_host(base=tmp_path_factory.mktemp("comfyui"))
    return import_module("stand_ins")


@pytest.fixture(scope="module")
def shelf(stand_ins, tmp_path_factory):
    """Tiny files for every name."""
    return stand_ins.Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def prompt(name, object_info):
    """The template as the browser would queue it, with an end if it has none."""
    workflow = template(name)
    if unknown := unknown_nodes(workflow, object_info):
        pytest.skip(f"the host has no {', '.join(unknown)}")
    return ended(api_prompt(workflow, object_info), object_info)


@pytest.fixture
def render(server, shelf):
    """``render(prompt)``: the traces of its runs, on tiny files."""

    def run(prompt):
        with shelf.on(server.base, prompt):
            prompt_id = accepted(server, prompt)
            server.wait(prompt_id, 10 * MINUTES)
        runs = traces(server, prompt_id)
        assert len(runs) == sum(node["class_type"] in SAMPLERS for node in prompt.values())
        assert [run["summary"]["failsafes"] for run in runs] == [{}] * len(runs)
        return runs

    return run


def accepted(server, prompt):
    """The id of a prompt that the host accepts with all of its outputs."""
    reply = server.submit(prompt)
    assert reply["node_errors"] == {}
    return reply["prompt_id"]


def method(name, object_info, level="output"):
    """The Apply node whose turn it is: each template meets one at each level."""
    kinds = apply_nodes(object_info)
    turn = names().index(name) + LEVELS.index(level) * len(kinds) // 2
    return kinds[turn % len(kinds)]


def test_nearly_all_are_made_of_the_hosts_own_nodes(object_info, tell):
    if not names():
        pytest.skip("the host has no templates")
    unknown = {name: unknown_nodes(template(name), object_info) for name in names()}
    foreign = {name: nodes for name, nodes in unknown.items() if nodes}
    for name, nodes in foreign.items():
        tell(TABLE, name, validates=f"no: needs {', '.join(nodes)}")
    assert len(names()) >= 30
    assert len(foreign) <= len(names()) // 10


@pytest.mark.parametrize("name", names())
def test_the_host_accepts_it_with_apply_nodes(server, object_info, stand_ins, tell, name, prompt):
    """One behind each loader, and one for both experts of each pair."""
    kind = method(name, object_info)
    forms = [form(prompt, object_info, kind) for form in (behind_each, behind_pairs)]
    with stand_ins.empty_files(prompt, server.base):
        queued = [accepted(server, changed) for changed in forms if changed]
        for prompt_id in queued:
            with pytest.raises(ExecutionFailed):  # nothing can be read from an empty file
                server.wait(prompt_id)
    tell(TABLE, name, validates="yes, in both forms" if forms[1] else "yes")


def renders():
    """(name, level): every template at both cache levels."""
    for name in names():
        marks = [] if name in IN_CI else [pytest.mark.matrix]
        for level in LEVELS:
            yield pytest.param(name, level, marks=marks)


@pytest.mark.parametrize(("name", "level"), list(renders()))
def test_it_renders(object_info, render, tell, name, level, prompt):
    """One Apply node behind each loader, and at level hidden one for both experts.

    Values are held: models with random weights run away under extrapolation.
    """
    kind, shrunk = method(name, object_info, level), long(small(prompt))
    widgets = {"preset": "custom", **REUSING[kind]}
    both = behind_pairs(shrunk, object_info, kind, **widgets) if level == "hidden" else None
    changed = both or behind_each(shrunk, object_info, kind, **widgets)
    changed = with_options(changed, object_info, cache_level=level, forecast="hold")
    runs = render(changed)
    assert {run["cache_level"] for run in runs} == {level}
    tell(TABLE, name, **{f"level {level}": f"{short(kind)}: {told(runs, kind, changed)}"})
    if any(node["class_type"] in WITHOUT_SAM3 for node in prompt.values()):
        tell(TABLE, name, note="plain masks instead of SAM 3")


def told(runs, kind, prompt):
    """How many steps the method computed by the traces, or why it left them all alone."""
    branches = [run["summary"]["branches"] for run in runs]
    if any(node["class_type"] == AUTOREGRESSIVE for node in prompt.values()):
        assert branches == [{}] * len(runs)
        return "autoregressive, never cached"
    if kind == CFG_CACHE and not any("uncond" in found for found in branches):
        assert all("nothing to skip" in run["notes"][0] for run in runs)
        return "nothing to skip at CFG 1"
    rows = [found["uncond" if kind == CFG_CACHE else "cond"] for found in branches]
    assert all(row["computed"] and row["reused"] for row in rows)
    computed, reused = (sum(row[name] for row in rows) for name in ("computed", "reused"))
    return f"{computed} of {computed + reused} computed"


def short(kind):
    """The method of an Apply node by its id."""
    return kind.removeprefix("WanStepCache_")


@pytest.mark.parametrize("name", sorted({*OF_FOUR_STEPS} & {*names()}))
def test_the_steps_of_a_distilled_template_are_all_computed(
    object_info, render, tell, name, prompt
):
    runs = render(behind_each(small(prompt), object_info, method(name, object_info)))
    for run in runs:
        assert run["summary"]["branches"] == {"cond": {"computed": 2, "reused": 0}}
        assert run["notes"] == ["4 steps are fewer than 10: everything is computed"]
    assert len(runs) == 2
    tell(TABLE, name, note="as saved, of 4 steps: all computed")
