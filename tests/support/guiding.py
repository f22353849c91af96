"""CFG Cache on a model, and what it makes of the branches.

Import it only after the pack (fixture ``pack``).
"""

from collections import namedtuple

import torch
import wan
from comfy.patcher_extension import WrappersMP
from passes import followed
from wan_step_cache_under_test.cache_core import Options
from wan_step_cache_under_test.nodes.cfgcache import ApplyCFGCache
from watching import execute

Told = namedtuple("Told", "evaluation window sigma cond uncond ran")
"""Cond and uncond of one evaluation, or of one context window of it, denoised. ran: uncond did."""


def guided(model, interval=3, **options):
    """The model behind Apply CFG Cache, over the whole schedule."""
    chosen = Options(**{"on_few_steps": "allow", **options})
    return execute(
        ApplyCFGCache, model=model, preset="custom", interval=interval, start_percent=0.0,
        end_percent=1.0, low_frequency_weight=1.0, high_frequency_weight=1.0, options=chosen,
    )[0]  # fmt: skip


def branches_told(clone, passes):
    """A list of what every run of both branches gives; for a clone that ``passes`` follows."""
    told = []

    def calc_cond_batch(executor, model, conds, x, sigma, options):
        before = len(passes.rows)
        outputs = executor(model, conds, x, sigma, options)
        if len(conds) == 2 and None not in conds:
            window = options["transformer_options"].get("context_window")
            ran = any(row.whose[1] == 1 for row in passes.rows[before:])
            both = (output.clone() for output in outputs)
            frames = window and tuple(window.index_list)
            told.append(Told(passes.evaluation, frames, float(sigma[0]), *both, ran))
        return outputs

    clone.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "told", calc_cond_batch)
    return told


def assert_uncond_is_made_of_cond(model, steps=7, see=None, **more):
    """Wherever uncond does not run it is cond and the last difference there. The passes.

    The last one is from a series of evaluations without a gap.
    """
    with followed(model, **(see or {})) as (clone, passes):
        told = branches_told(clone, passes)
        wan.sample(guided(clone, forecast="hold"), steps, **more)
    kept, there = {}, {}
    for one in told:
        if one.ran:
            kept[one.window] = (one.cond - one.uncond) / one.sigma
        else:
            assert there[one.window] == one.evaluation - 1
            expected = one.cond - one.sigma * kept[one.window]
            torch.testing.assert_close(one.uncond, expected, rtol=1e-4, atol=1e-4)
        there[one.window] = one.evaluation
    assert not all(one.ran for one in told)
    return passes
