"""The cache on a model with no guard but those a test asks for, and its traces in short.

Import it only after the pack (fixture ``pack``).
"""

from collections import namedtuple
from contextlib import contextmanager

import torch
from comfy.patcher_extension import WrappersMP
from wan_step_cache_under_test.cache_core import FBCache, Method, Options
from wan_step_cache_under_test.cache_core.config import GuardDefaults
from wan_step_cache_under_test.cache_core.magcache import Curve, MagCache
from wan_step_cache_under_test.cache_core.teacache import TeaCache
from wan_step_cache_under_test.nodes.adacache import ApplyAdaCache
from wan_step_cache_under_test.nodes.customcache import ApplyCustomCache
from wan_step_cache_under_test.nodes.easycache import ApplyEasyCache
from wan_step_cache_under_test.nodes.host import attach, recognise
from wan_step_cache_under_test.nodes.taylorseer import ApplyTaylorSeer
from watching import execute

UNGUARDED = GuardDefaults(warmup_ratio=0.0, last_steps=0, max_consecutive_skips=None)
LETTER = {"compute": "C", "reuse": "R"}
FLAT = Curve((1.0, 0.0), ((1.0, 1.0),))
"""A magnitude that never changes: MagCache's error stays 0."""
STATIC = ("TeaCache", "MagCache")
ENDS = {"first_enhance": 0, "last_steps": 0}
NODES = {
    "TaylorSeer": (ApplyTaylorSeer, {"interval": 1, **ENDS}, {"interval": 20, **ENDS}),
    "AdaCache": (ApplyAdaCache, {"codebook": "1:1"}, {"codebook": "1000:50"}),
    "CustomCache": (ApplyCustomCache, {"rel_l1_thresh": 0.0}, {"rel_l1_thresh": 10.0}),
    "EasyCache": (ApplyEasyCache, {"reuse_threshold": 0.0}, {"reuse_threshold": 10.0}),
}
"""Apply nodes; what makes them never reuse, and what as soon as no guard forbids it."""
UNGUARDED_OPTIONS = {"warmup_steps": 2, "last_steps": 0, "on_few_steps": "allow"}
"""Two steps are computed first: EasyCache and AdaCache compare the last two."""

Seen = namedtuple("Seen", "sigma latent output branches")
"""One call of the model: its rows in, its rows out, and of which branches they are, in order."""


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


def applied(name, model, reuses=True, level="output", widgets=None, **options):
    """The model as an Apply node gives it: reusing whatever the options allow, or nothing."""
    node, never, always = NODES[name]
    numbers = {**(always if reuses else never), **(widgets or {})}
    chosen = Options(cache_level=level, **{**UNGUARDED_OPTIONS, **options})
    return execute(node, model=model, preset="custom", options=chosen, **numbers)[0]


def with_method(name, model, level):
    """The model with a method that reuses two in a row, whatever it sees."""
    chosen = {"level": level, "max_consecutive_skips": 2, "warmup_steps": 2}
    if name == "FBCache":
        return cached(model, 1.0, **chosen)
    if name in STATIC:
        return with_policies(model, static(name), **chosen)
    return applied(name, model, **chosen)


def seeing(model):
    """A clone, and a list of its model calls in order.

    Inside the cache if it has one: sees computed calls alone, and what the model itself gave.
    Outside of a cache that is applied later: sees every call, and what the sampler gets.
    """
    clone, calls = model.clone(), []

    def diffusion_model(executor, x, *args, **kwargs):
        latent = x.clone()
        output = executor(x, *args, **kwargs)
        sigma = float(args[4]["sigmas"].flatten()[0])
        calls.append(Seen(sigma, latent, output.clone(), tuple(args[4]["cond_or_uncond"])))
        return output

    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, f"seeing {id(calls)}", diffusion_model)
    return clone, calls


def of_branch(calls, branch=0, what="output"):
    """The rows of one branch in every call that has it."""
    return [
        getattr(call, what).chunk(len(call.branches))[call.branches.index(branch)]
        for call in calls
        if branch in call.branches
    ]


@contextmanager
def module_calls(model):
    """``count(start)``: calls since now of the model's modules whose name starts so."""
    called, handles = [], []
    for name, module in model.model.diffusion_model.named_modules():
        if name:
            hook = lambda *args, name=name: called.append(name)  # noqa: E731
            handles.append(module.register_forward_hook(hook))
    try:
        yield lambda start="": sum(name.startswith(start) for name in called)
    finally:
        for handle in handles:
            handle.remove()
