"""What the two experts of a schedule compute at their start."""

from math import ceil

import pytest

from cache_core import CacheConfig, Identity, RunFacts
from cache_core.adacache_presets import AdaCacheChoice
from cache_core.customcache_presets import CustomCacheChoice
from cache_core.easycache_presets import EasyCacheChoice
from cache_core.fbcache_presets import FBCacheChoice
from cache_core.magcache_presets import MagCacheChoice
from cache_core.taylorseer_presets import TaylorSeerChoice
from cache_core.teacache_presets import TeaCacheChoice
from cache_core.variants import variants_of

WHOLE, FIRST, SECOND = 30, 13, 17
"""Steps of a schedule, and of its two parts."""
START, REST, ALL = RunFacts(1.0, 0.9), RunFacts(0.9, 0.0), RunFacts(1.0, 0.0)
WAN = Identity("14B", "t2v", 5120, 40, variants_of("t2v", "14B", 16, False))
HIGH, LOW = WAN.placed("high"), WAN.placed("low")

SHARES = [  # a preset, and the share of the steps that it computes first
    (FBCacheChoice("quality", 0.1), 0.27),
    (FBCacheChoice("fast", 0.1), 0.2),
    (FBCacheChoice("custom", 0.1), 0.1),
    (TaylorSeerChoice("balanced", 3, 1, 1), 0.2),
    (AdaCacheChoice("balanced", ""), 0.2),
    (CustomCacheChoice("balanced", 0.1), 0.2),
    (EasyCacheChoice("balanced", 0.1), 0.2),
]

PARTS = [  # what is known of the model, its run, the steps of the run; of what the share is one
    (HIGH, START, FIRST, WHOLE),
    (WAN.named("wan2.2_t2v_high_noise_14B.safetensors"), START, FIRST, WHOLE),
    (HIGH, ALL, WHOLE, WHOLE),
    (LOW, REST, SECOND, None),
    (WAN.named("wan2.2_t2v_low_noise_14B.gguf"), REST, SECOND, None),
    (LOW, ALL, WHOLE, WHOLE),
    (WAN, START, FIRST, FIRST),
    (WAN, REST, SECOND, SECOND),
]
"""None: of nothing, two steps are computed. A guess from sigmas makes no expert of a model."""


def warm_up(choice, identity, facts, steps):
    """The steps that a method computes at the start of a run of so many."""
    _, (method,) = CacheConfig(identity, (choice,)).resolved(facts, WHOLE)
    return method.guards.warmup(steps)


@pytest.mark.parametrize(("identity", "facts", "steps", "of"), PARTS)
@pytest.mark.parametrize(("choice", "share"), SHARES)
def test_the_early_steps_of_the_whole_schedule_are_computed(
    choice, share, identity, facts, steps, of
):
    expected = 2 if of is None else ceil(int(2 * of * share) / 2)
    assert warm_up(choice, identity, facts, steps) == expected


@pytest.mark.parametrize(("identity", "facts", "steps"), [(HIGH, START, 13), (LOW, REST, 17)])
def test_published_numbers_are_counted_as_published(identity, facts, steps):
    """MagCache's retention is a share of each expert's part, TeaCache's first steps a number."""
    magcache = MagCacheChoice("custom", 0.1, 4, 0.2)
    assert warm_up(magcache, identity, facts, steps) == 3
    teacache = TeaCacheChoice("custom", 0.1, True)
    assert warm_up(teacache, identity, facts, steps) == 5
