"""The nodes as saved workflows know them. Ids, names, order and types are promises."""

import re

import pytest

pytestmark = pytest.mark.every_host

CATEGORY = "model/patch/wan step cache"
CHANGED = (
    "The nodes are not what saved workflows know. Never rename or remove an input, nor change its "
    "type; add new inputs only at the end of their section, with a default that does what was done "
    "before; then bring this table up to date and note the change in CHANGELOG.md."
)
MODEL = ("model", "required", "MODEL", {})
PRESETS = {"default": "balanced", "options": ["quality", "balanced", "fast", "custom"]}
METRICS = ["residual_rel_l1", "hidden_rel_l1", "hidden_rel_l2"]
GUARD = {"default": -1, "min": -1, "max": 1000}
CURVES = [
    *("auto", "wan2.1_t2v_1.3B", "wan2.1_t2v_14B", "wan2.1_i2v_480p_14B", "wan2.1_i2v_720p_14B"),
    *("wan2.1_vace_1.3B", "wan2.1_vace_14B", "wan2.2_t2v_A14B", "wan2.2_i2v_A14B"),
    *("wan2.2_ti2v_5B_t2v", "wan2.2_ti2v_5B_i2v"),
]
VARIANTS = [
    *("auto", "wan2.1_t2v_1.3B", "wan2.1_t2v_14B", "wan2.1_i2v_480p_14B", "wan2.1_i2v_720p_14B"),
    *("wan2.1_flf2v_14B", "wan2.1_vace_1.3B", "wan2.1_vace_14B", "wan2.2_ti2v_5B"),
    *("wan2.2_t2v_A14B", "wan2.2_i2v_A14B"),
]
"""Without any calibration file; saved workflows know these words."""
TWO_MODELS = [("model", "MODEL"), ("low_noise_model", "MODEL")]
AXES = ["step", "sigma", "logsnr"]
AXIS = ("time_axis", "optional", "COMBO", {"default": "logsnr", "options": AXES, "advanced": True})
ORDER = ("max_order", "required", "INT", {"default": 1, "min": 0, "max": 3})
EXPERTS_AND_OPTIONS = [
    ("low_noise_model", "optional", "MODEL", {}),
    ("options", "optional", "WANSTEPCACHE_OPTIONS", {}),
]
CODEBOOK = "0.08:6, 0.16:5, 0.24:4, 0.32:3, 0.40:2, 1:1"

SNAPSHOT = {
    "WanStepCache_FBCache": {
        "display_name": "Apply FBCache",
        "inputs": [
            MODEL,
            ("preset", "required", "COMBO", PRESETS),
            (
                "residual_diff_threshold", "required", "FLOAT",
                {"default": 0.08, "min": 0.0, "max": 1.0},
            ),
            (
                "metric", "optional", "COMBO",
                {"default": "residual_rel_l1", "options": METRICS, "advanced": True},
            ),
            (
                "downsample", "optional", "INT",
                {"default": 8, "min": 1, "max": 64, "advanced": True},
            ),
            (
                "ema", "optional", "FLOAT",
                {"default": 0.0, "min": 0.0, "max": 0.99, "advanced": True},
            ),
            ("low_noise_model", "optional", "MODEL", {}),
            ("options", "optional", "WANSTEPCACHE_OPTIONS", {}),
        ],
        "outputs": TWO_MODELS,
    },
    "WanStepCache_TeaCache": {
        "display_name": "Apply TeaCache",
        "inputs": [
            MODEL,
            ("preset", "required", "COMBO", PRESETS),
            ("rel_l1_thresh", "required", "FLOAT", {"default": 0.2, "min": 0.0, "max": 10.0}),
            ("use_ret_steps", "required", "BOOLEAN", {"default": True}),
            ("model_variant", "required", "COMBO", {"default": "auto", "options": VARIANTS}),
            (
                "coefficients", "optional", "COMBO",
                {"default": "auto", "options": ["auto", "none"], "advanced": True},
            ),
            ("low_noise_model", "optional", "MODEL", {}),
            ("options", "optional", "WANSTEPCACHE_OPTIONS", {}),
        ],
        "outputs": TWO_MODELS,
    },
    "WanStepCache_MagCache": {
        "display_name": "Apply MagCache",
        "inputs": [
            MODEL,
            ("preset", "required", "COMBO", PRESETS),
            ("magcache_thresh", "required", "FLOAT", {"default": 0.12, "min": 0.0, "max": 10.0}),
            ("magcache_K", "required", "INT", {"default": 4, "min": 0, "max": 50}),
            ("retention_ratio", "required", "FLOAT", {"default": 0.2, "min": 0.0, "max": 1.0}),
            ("calibration", "optional", "COMBO", {"default": "auto", "options": CURVES}),
            ("low_noise_model", "optional", "MODEL", {}),
            ("options", "optional", "WANSTEPCACHE_OPTIONS", {}),
        ],
        "outputs": TWO_MODELS,
    },
    "WanStepCache_TaylorSeer": {
        "display_name": "Apply TaylorSeer",
        "inputs": [
            MODEL,
            ("preset", "required", "COMBO", PRESETS),
            ("interval", "required", "INT", {"default": 3, "min": 1, "max": 20}),
            ORDER,
            ("first_enhance", "required", "INT", {"default": 6, "min": 0, "max": 1000}),
            (
                "last_steps", "optional", "INT",
                {"default": 1, "min": 0, "max": 1000, "advanced": True},
            ),
            AXIS,
            *EXPERTS_AND_OPTIONS,
        ],
        "outputs": TWO_MODELS,
    },
    "WanStepCache_AdaCache": {
        "display_name": "Apply AdaCache",
        "inputs": [
            MODEL,
            ("preset", "required", "COMBO", PRESETS),
            ("codebook", "required", "STRING", {"default": CODEBOOK}),
            (
                "probe_block", "optional", "INT",
                {"default": -1, "min": -1, "max": 100, "advanced": True},
            ),
            ("motion", "optional", "BOOLEAN", {"default": False, "advanced": True}),
            *EXPERTS_AND_OPTIONS,
        ],
        "outputs": TWO_MODELS,
    },
    "WanStepCache_CustomCache": {
        "display_name": "Apply CustomCache",
        "inputs": [
            MODEL,
            ("preset", "required", "COMBO", PRESETS),
            ("rel_l1_thresh", "required", "FLOAT", {"default": 0.26, "min": 0.0, "max": 10.0}),
            ORDER,
            ("model_variant", "required", "COMBO", {"default": "auto", "options": VARIANTS}),
            AXIS,
            *EXPERTS_AND_OPTIONS,
        ],
        "outputs": TWO_MODELS,
    },
    "WanStepCache_EasyCache": {
        "display_name": "Apply EasyCache",
        "inputs": [
            MODEL,
            ("preset", "required", "COMBO", PRESETS),
            ("reuse_threshold", "required", "FLOAT", {"default": 0.05, "min": 0.0, "max": 10.0}),
            *EXPERTS_AND_OPTIONS,
        ],
        "outputs": TWO_MODELS,
    },
    "WanStepCache_MagCacheCalibrate": {
        "display_name": "MagCache Calibrate",
        "inputs": [
            MODEL,
            ("name", "required", "STRING", {"default": "my_wan"}),
            ("overwrite", "required", "BOOLEAN", {"default": False}),
            ("low_noise_model", "optional", "MODEL", {}),
        ],
        "outputs": TWO_MODELS,
    },
    "WanStepCache_CFGCache": {
        "display_name": "Apply CFG Cache",
        "inputs": [
            MODEL,
            ("preset", "required", "COMBO", PRESETS),
            ("interval", "required", "INT", {"default": 3, "min": 1, "max": 20}),
            ("start_percent", "required", "FLOAT", {"default": 0.3, "min": 0.0, "max": 1.0}),
            ("end_percent", "required", "FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}),
            (
                "low_frequency_weight", "optional", "FLOAT",
                {"default": 1.0, "min": 0.0, "max": 2.0, "advanced": True},
            ),
            (
                "high_frequency_weight", "optional", "FLOAT",
                {"default": 1.0, "min": 0.0, "max": 2.0, "advanced": True},
            ),
            *EXPERTS_AND_OPTIONS,
        ],
        "outputs": TWO_MODELS,
    },
    "WanStepCache_Options": {
        "display_name": "Step Cache Options",
        "inputs": [
            ("start_percent", "required", "FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0}),
            ("end_percent", "required", "FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}),
            ("warmup_steps", "required", "INT", GUARD),
            ("last_steps", "required", "INT", GUARD),
            ("max_consecutive_skips", "required", "INT", GUARD),
            (
                "cfg_mode", "required", "COMBO",
                {"default": "cond", "options": ["cond", "separate", "all"]},
            ),
            (
                "cache_level", "required", "COMBO",
                {"default": "auto", "options": ["auto", "hidden", "output"]},
            ),
            ("verbose", "required", "BOOLEAN", {"default": False}),
            (
                "on_few_steps", "optional", "COMBO",
                {"default": "off", "options": ["off", "warn", "allow"]},
            ),
            (
                "forecast", "optional", "COMBO",
                {"default": "auto", "options": ["auto", "hold", "taylor"]},
            ),
            ("max_order", "optional", "INT", {"default": -1, "min": -1, "max": 3}),
            (
                "time_axis", "optional", "COMBO",
                {"default": "auto", "options": ["auto", *AXES]},
            ),
            (
                "correction", "optional", "COMBO",
                {"default": "auto", "options": ["auto", "on", "off"]},
            ),
            ("alternating", "optional", "BOOLEAN", {"default": False}),
            ("step_mask", "optional", "STRING", {"default": ""}),
            (
                "cache_device", "optional", "COMBO",
                {"default": "auto", "options": ["auto", "gpu", "cpu"]},
            ),
            (
                "cache_dtype", "optional", "COMBO",
                {"default": "auto", "options": ["auto", "model", "bf16", "fp16", "fp8"]},
            ),
        ],
        "outputs": [("options", "WANSTEPCACHE_OPTIONS")],
    },
    "WanStepCache_Report": {
        "display_name": "Step Cache Report",
        "inputs": [("latent", "required", "LATENT", {}), MODEL],
        "outputs": [
            ("latent", "LATENT"), ("timeline", "IMAGE"), ("summary", "STRING"), ("json", "STRING"),
        ],
        "output_node": True,
    },
    "WanStepCache_Compare": {
        "display_name": "Step Cache Compare",
        "inputs": [
            ("reference", "required", "IMAGE", {}),
            ("candidate", "required", "IMAGE", {}),
            (
                "heat_map_range", "optional", "FLOAT",
                {"default": 0.1, "min": 0.001, "max": 1.0, "advanced": True},
            ),
        ],
        "outputs": [
            ("side_by_side", "IMAGE"), ("heat_map", "IMAGE"), ("psnr", "FLOAT"), ("ssim", "FLOAT"),
            ("temporal_difference_error", "FLOAT"), ("summary", "STRING"), ("json", "STRING"),
        ],
        "output_node": True,
    },
}  # fmt: skip
HIDDEN = {"unique_id": ["UNIQUE_ID"], "prompt": ["PROMPT"]}
PROMISED = ("default", "min", "max", "options", "advanced")


def inputs_of(node):
    """(name, section, type, promises) of every input, in the order of the node."""
    sections = ("required", "optional")
    return [
        (name, section, kind, {key: extra[key] for key in PROMISED if key in extra})
        for section in sections
        for name in node["input_order"].get(section, [])
        for kind, extra in [node["input"][section][name]]
    ]


def test_the_nodes_are_those_that_saved_workflows_know(nodes):
    assert sorted(nodes) == sorted(SNAPSHOT), CHANGED


@pytest.mark.parametrize("node_id", SNAPSHOT)
def test_a_node_is_what_saved_workflows_know(nodes, node_id):
    node, promised = nodes[node_id], SNAPSHOT[node_id]
    assert inputs_of(node) == promised["inputs"], CHANGED
    outputs = list(zip(node["output_name"], node["output"], strict=True))
    assert outputs == promised["outputs"], CHANGED
    assert node["display_name"] == promised["display_name"]
    assert node["category"] == CATEGORY
    assert node["output_node"] is promised.get("output_node", False)
    assert not (node["deprecated"] or node["experimental"])


def test_every_apply_node_takes_both_experts_and_options_and_knows_itself(nodes):
    for name, node in nodes.items():
        if node["display_name"].startswith("Apply "):
            assert set(node["input"]["optional"]) >= {"low_noise_model", "options"}, name
            assert node["output"] == ["MODEL", "MODEL"], name
            assert node["input"]["hidden"] == HIDDEN, name


def test_nodes_that_show_something_run_with_nothing_behind_them(nodes):
    """And know the workflow, which the host writes into their pictures."""
    shown = {name for name, node in nodes.items() if node["output_node"]}
    assert shown == {"WanStepCache_Report", "WanStepCache_Compare"}
    for name in shown:
        assert set(nodes[name]["input"]["hidden"]) == {*HIDDEN, "extra_pnginfo"}, name


def every_input(nodes):
    return {
        f"{node_id}.{name}": extra
        for node_id, node in nodes.items()
        for section in ("required", "optional")
        for name, (_, extra) in node["input"].get(section, {}).items()
    }


def sentences(text):
    """How many sentences: ends followed by a blank or nothing, so that 2.2 is none."""
    return len(re.findall(r"[.!?](?=\s|$)", text))


def test_every_input_is_explained_in_one_or_two_sentences(nodes):
    tooltips = {name: extra.get("tooltip", "") for name, extra in every_input(nodes).items()}
    assert {n: t for n, t in tooltips.items() if not 1 <= sentences(t) <= 2} == {}
    assert {n: t for n, t in tooltips.items() if not (t.endswith(".") and len(t) > 20)} == {}
    assert {n: t for n, t in tooltips.items() if not t.isascii()} == {}


def test_every_number_has_bounds_that_hold_its_default(nodes):
    numbers = {
        n: e for n, e in every_input(nodes).items() if type(e.get("default")) in (int, float)
    }
    assert len(numbers) >= 8
    for name, extra in numbers.items():
        assert extra["min"] <= extra["default"] <= extra["max"], name


def test_every_choice_has_a_default_among_its_options(nodes):
    for name, extra in every_input(nodes).items():
        if "options" in extra:
            assert extra["default"] in extra["options"], name
            assert len(set(extra["options"])) == len(extra["options"]) >= 2, name


def test_every_node_can_be_found_and_says_what_it_does(nodes):
    for node in nodes.values():
        assert sentences(node["description"]) in (1, 2), node["name"]
        assert len(node["search_aliases"]) >= 3, node["name"]
        assert node["name"].startswith("WanStepCache_")
