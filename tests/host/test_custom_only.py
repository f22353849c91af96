"""Numbers that the browser greys with a preset are those that change nothing then."""

from importlib import import_module

import pytest

METHODS = (
    "FBCache", "TeaCache", "MagCache", "TaylorSeer", "AdaCache", "CustomCache", "EasyCache",
    "CFGCache",
)  # fmt: skip
FLAG = "wan_step_cache_custom_only"
KINDS = ("INT", "FLOAT", "STRING")
ALWAYS = {
    "FBCache": {"downsample", "ema"},
    "AdaCache": {"probe_block"},
    "CustomCache": {"max_order"},
    "CFGCache": {"low_frequency_weight", "high_frequency_weight"},
}
"""Numbers that count with every preset."""
OTHER = {"codebook": "0.1:7, 1:2", "ema": 0.5, "low_frequency_weight": 0.5}
NEEDED = {"MagCache": {"calibration": "wan2.1_t2v_1.3B"}}
"""What a model needs that nobody has published numbers for."""


def numbers_of(node):
    """Every number on a node: its default, and whether it is flagged."""
    kinds = node.INPUT_TYPES()
    declared = {**kinds["required"], **kinds.get("optional", {})}
    found = {n: told[1] for n, told in declared.items() if told[0] in KINDS}
    return {n: (more["default"], more.get(FLAG, False)) for n, more in found.items()}


def another(name, default):
    """Another value of a number that its node takes."""
    if name in OTHER:
        return OTHER[name]
    return default / 2 if isinstance(default, float) and default else default + 1


@pytest.fixture
def resolved(model, caching, part):
    """What a node with these widgets comes to, for a sampling of 30 steps."""
    config_of = part("nodes.host.keys").config_of

    def run(node, preset, **numbers):
        values = {name: default for name, (default, _) in numbers_of(node).items()}
        numbers |= NEEDED.get(node.__name__.removeprefix("Apply"), {})
        patched = import_module("watching").execute(
            node, model=model, preset=preset, **{**values, **numbers}
        )[0]
        config = config_of(patched.model_options)
        return config.methods[0].resolve(config.identity, 30)

    return run


@pytest.mark.parametrize("method", METHODS)
def test_a_flagged_number_counts_with_custom_only(part, resolved, method):
    node = getattr(part(f"nodes.{method.lower()}"), f"Apply{method}")
    for name, (default, flagged) in numbers_of(node).items():
        assert flagged == (name not in ALWAYS.get(method, ())), name
        changed = {name: another(name, default)}
        assert resolved(node, "custom", **changed) != resolved(node, "custom"), name
        for preset in ("quality", "balanced", "fast"):
            same = resolved(node, preset, **changed) == resolved(node, preset)
            assert same == flagged, (name, preset)
