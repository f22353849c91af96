"""Options, methods and presets: refused when wrong, frozen when right."""

import copy
from dataclasses import FrozenInstanceError

import pytest
from toy import TOY

from cache_core import CacheConfig, FBCache, Method, Options, StepCacheError
from cache_core.config import GuardDefaults
from cache_core.fbcache_presets import FBCACHE, GUARDS, fbcache_threshold

REFUSED = [  # options, the input and value named, the remedy
    ({"start_percent": -0.1}, "`start_percent` is -0.1", "between 0 and 1"),
    ({"start_percent": 1.5}, "`start_percent` is 1.5", "between 0 and 1"),
    ({"end_percent": 25}, "`end_percent` is 25", "between 0 and 1 (0.5 is half of the schedule)"),
    ({"end_percent": float("nan")}, "`end_percent` is nan", "between 0 and 1"),
    ({"start_percent": 0.5, "end_percent": 0.5}, "`start_percent` is 0.5", "`end_percent` (0.5)"),
    ({"start_percent": 0.8, "end_percent": 0.5}, "`start_percent` is 0.8", "below `end_percent`"),
    ({"warmup_steps": -1}, "`warmup_steps` is -1", "or left to the preset"),
    ({"last_steps": -3}, "`last_steps` is -3", "or left to the preset"),
    ({"max_consecutive_skips": -2}, "`max_consecutive_skips` is -2", "or left to the preset"),
    ({"cfg_mode": "both"}, "`cfg_mode` is 'both'", "one of cond, separate"),
    ({"cache_level": "latent"}, "`cache_level` is 'latent'", "one of auto, hidden, output"),
    ({"warmup_steps": 1001}, "`warmup_steps` is 1001", "0 to 1000"),
    (
        {"alternating": True, "max_consecutive_skips": 2},
        "`max_consecutive_skips` is 2",
        "0, 1 or left to the preset (-1) where `alternating` is on",
    ),
    ({"step_mask": "11x"}, "`step_mask` is '11x'", "1 (compute)"),
    ({"step_mask": "1-6", "warmup_steps": 0}, "`warmup_steps` is 0", "left to the preset (-1)"),
    ({"step_mask": "10", "last_steps": 2}, "`last_steps` is 2", "left to the preset (-1)"),
    (
        {"step_mask": "10", "max_consecutive_skips": 0},
        "`max_consecutive_skips` is 0",
        "left to the preset (-1) where a `step_mask`",
    ),
    ({"step_mask": "10", "alternating": True}, "`alternating` is True", "off where a `step_mask`"),
]


@pytest.mark.parametrize(("options", "named", "remedy"), REFUSED)
def test_impossible_options_are_refused_with_the_remedy(options, named, remedy):
    with pytest.raises(StepCacheError) as refusal:
        Options(**options)
    message = str(refusal.value)
    assert message.startswith(named + ", but must be ")
    assert remedy in message
    assert message.endswith(".")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"start_percent": 0, "end_percent": 1},
        {"start_percent": 0.99},
        {"warmup_steps": 0, "last_steps": 0, "max_consecutive_skips": 0},
        {"cfg_mode": "separate", "cache_level": "hidden", "verbose": True},
        {"alternating": True},
        {"alternating": True, "max_consecutive_skips": 0},
        {"alternating": True, "max_consecutive_skips": 1},
        {"step_mask": "1.01", "start_percent": 0.2, "cfg_mode": "all"},
        {"step_mask": " \n", "warmup_steps": 2, "alternating": True},
    ],
)
def test_possible_options_are_kept_as_they_are(options):
    made = Options(**options)
    assert {name: getattr(made, name) for name in options} == options


def test_errors_are_of_one_family_that_hosts_show_as_value_errors():
    assert issubclass(StepCacheError, ValueError)


def test_what_a_model_carries_is_frozen_hashable_and_shared_by_deep_copies():
    config = CacheConfig(TOY, (Method(FBCache(0.1)),))
    assert copy.deepcopy({"options": [config]})["options"][0] is config
    assert hash(config) == hash(CacheConfig(TOY, (Method(FBCache(0.1)),)))
    for frozen, name in ((config, "model"), (Options(), "verbose"), (config.methods[0], "preset")):
        with pytest.raises(FrozenInstanceError):
            setattr(frozen, name, "other")


def other(threshold):
    """A method of another kind."""
    return Method(FBCache(threshold, name="Other"))


def test_methods_add_up_in_order_and_the_same_kind_replaces():
    first, another, second = other(0.2), Method(FBCache(0.1, name="Third")), other(0.3)
    config = CacheConfig(TOY, ()).with_method(first, None).with_method(another, None)
    assert config.methods == (first, another)
    assert config.with_method(second, None).methods == (another, second)
    assert config.methods == (first, another)


def test_options_hold_until_a_later_method_brings_its_own():
    mine, later = Options(warmup_steps=3), Options(verbose=True)
    config = CacheConfig(TOY, ()).with_method(Method(FBCache(0.1)), mine)
    assert config.with_method(other(0.1), None).options == mine
    assert config.with_method(other(0.1), later).options == later


SIZES = ("14B", "5B", "1.3B", "other")


@pytest.mark.parametrize("metric", FBCACHE)
@pytest.mark.parametrize("size", SIZES)
def test_presets_go_from_quality_to_fast(metric, size):
    thresholds = [fbcache_threshold(size, metric, preset)[0] for preset in GUARDS]
    assert list(GUARDS) == ["quality", "balanced", "fast"]
    assert thresholds == sorted(thresholds) and thresholds[0] < thresholds[-1]
    for preset, threshold in zip(GUARDS, thresholds, strict=True):
        assert FBCache(threshold, metric).threshold == threshold > 0
        assert fbcache_threshold(size, metric, preset)[1]


def test_guards_loosen_from_quality_to_fast():
    quality, balanced, fast = GUARDS.values()
    for careful, bold in ((quality, balanced), (balanced, fast)):
        assert careful.warmup_ratio >= bold.warmup_ratio > 0
        assert careful.last_steps >= bold.last_steps >= 1
        assert careful.max_consecutive_skips <= bold.max_consecutive_skips
    assert GuardDefaults().max_consecutive_skips == 3


PUBLISHED = [  # diffsynth-wan-cache: what it ran and judged good
    ("14B", "quality", 0.04), ("14B", "balanced", 0.06), ("14B", "fast", 0.07),
    ("1.3B", "quality", 0.03), ("1.3B", "fast", 0.04),
]  # fmt: skip


@pytest.mark.parametrize(("size", "preset", "threshold"), PUBLISHED)
def test_published_thresholds_are_those_published_and_say_so(size, preset, threshold):
    value, source = fbcache_threshold(size, "hidden_rel_l1", preset)
    assert value == threshold
    assert source.startswith("published by diffsynth-wan-cache")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("metric", FBCACHE)
def test_only_published_thresholds_claim_to_be(metric, size):
    source = fbcache_threshold(size, metric, "balanced")[1]
    claims = (metric, size) in {("hidden_rel_l1", "14B"), ("hidden_rel_l1", "1.3B")}
    assert source.startswith("published") == claims
    assert claims or "untested on this model" in source or "tiny test model" in source
