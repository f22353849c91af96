"""The cache on a model with no guard but those a test asks for, and its traces in short.

Import it only after the pack (fixture ``pack``).
"""

import torch
from wan_step_cache_under_test.cache_core import FBCache, Method, Options
from wan_step_cache_under_test.cache_core.config import GuardDefaults
from wan_step_cache_under_test.cache_core.magcache import Curve, MagCache
from wan_step_cache_under_test.cache_core.teacache import TeaCache
from wan_step_cache_under_test.nodes.host import attach, recognise

UNGUARDED = GuardDefaults(warmup_ratio=0.0, last_steps=0, max_consecutive_skips=None)
LETTER = {"compute": "C", "reuse": "R"}
FLAT = Curve((1.0, 0.0), ((1.0, 1.0),))
"""A magnitude that never changes: MagCache's error stays 0."""
STATIC = ("TeaCache", "MagCache")


def cached(model, threshold=1.0, level="output", guards=UNGUARDED, **options):
    """A clone with FBCache: threshold 1 reuses as soon as no guard forbids it."""
    method = Method(FBCache(threshold), guards)
    options.setdefault("on_few_steps", "allow")
    return attach(model, recognise(model), method, Options(cache_level=level, **options))


def static(name, threshold=10.0):
    """A static policy: threshold 10 reuses as soon as no guard forbids it, 0 never."""
    return TeaCache(threshold) if name == "TeaCache" else MagCache(threshold, 1000, FLAT)


def with_policies(model, *policies, level="output", guards=UNGUARDED, **options):
    """A clone with these policies, in order of precedence."""
    options.setdefault("on_few_steps", "allow")
    for policy in policies:
        chosen = Options(cache_level=level, **options)
        model = attach(model, recognise(model), Method(policy, guards), chosen)
    return model


def metrics(trace, branch="cond"):
    """What was compared with a threshold, by evaluation of a branch."""
    return [record.metric for record in trace.records if record.branch == branch]


def actions(trace, branch="cond"):
    """C and R for the computed and reused evaluations of a branch."""
    return "".join(LETTER[r.action.value] for r in trace.records if r.branch == branch)


def reasons(trace, branch="cond"):
    """Why, by evaluation of a branch."""
    return [record.reason.value for record in trace.records if record.branch == branch]


def evaluations(trace):
    """The records of every evaluation."""
    grouped = {}
    for record in trace.records:
        grouped.setdefault(record.evaluation, []).append(record)
    return list(grouped.values())


def assert_reuse_is_exact(pairs, level):
    """Results computed and reused at the same point: to the bit, or to the rounding of a sum."""
    for computed, reused in pairs:
        if level == "output":
            assert torch.equal(computed, reused)
        else:
            torch.testing.assert_close(computed, reused, rtol=1e-5, atol=1e-5)
    assert not any(torch.equal(pairs[0][0], computed) for computed, _ in pairs[1:])
