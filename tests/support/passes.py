"""Every row of every model call in a sampling: whose it was, what it gave, whether it was computed.

Told apart by what the call brings with it, not by the pack's own keys. Import it only after the
pack (fixture ``pack``).
"""

from collections import namedtuple
from contextlib import contextmanager

import caching
import torch
import wan
from comfy.patcher_extension import WrappersMP
from watching import evaluated_thrice

Row = namedtuple("Row", "evaluation whose output computed")
"""One chunk of rows in one call. whose: equal for rows that mean the same."""


class Passes:
    """The rows of one sampling, in order. at_blocks: rows that a block of the model saw."""

    def __init__(self, weights):
        self.weights = weights
        self.rows = []
        self.evaluation = -1
        self.at_blocks = 0

    def predict_noise(self, executor, *args, **kwargs):
        self.evaluation += 1
        return executor(*args, **kwargs)

    def diffusion_model(self, executor, x, *args, **kwargs):
        before, options = self.at_blocks, args[4]
        output = executor(x, *args, **kwargs)
        computed, count = self.at_blocks > before, len(options["uuids"])
        for index, rows in enumerate(output.clone().chunk(count)):
            whose = self.whose(options, index, x[:1].shape, kwargs.get("control"))
            self.rows.append(Row(self.evaluation, whose, rows, computed))
        return output

    def whose(self, options, index, shape, control):
        """Condition, branch, window, patches, weights and control, and which of several alike."""
        window = options.get("context_window")
        frames = window and (*window.index_list, getattr(window, "causal_anchor_index", None))
        replaced = options.get("patches_replace", {})
        patches = frozenset((kind, key) for kind, of in replaced.items() for key in of)
        one = options["uuids"][index], options["cond_or_uncond"][index]
        told = (*one, tuple(shape), frames, patches, self.weights(), control is not None)
        return (*told, sum(row.whose[:-1] == told for row in self.of(self.evaluation)))

    def of(self, evaluation):
        """The rows of one evaluation."""
        return [row for row in self.rows if row.evaluation == evaluation]

    @property
    def computed(self):
        """Computed rows, by evaluation."""
        return [sum(r.computed for r in self.of(e)) for e in range(self.evaluation + 1)]


@contextmanager
def followed(model, weights=lambda: None, block=-1):
    """A clone to put the cache on, and its passes. weights: what tells the model's apart.

    block: one that every computed call runs.
    """
    clone, passes = model.clone(), Passes(weights)
    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "passes", passes.predict_noise)
    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "passes", passes.diffusion_model)

    def count(block, args, output):
        passes.at_blocks += len(output)

    handle = model.model.diffusion_model.blocks[block].register_forward_hook(count)
    try:
        yield clone, passes
    finally:
        handle.remove()


def assert_reused_rows_are_their_own(passes, same=True):
    """Whoever is reused was computed, and has been there in every evaluation since.

    same: its output is the computed one to the bit, which holds for outputs that are held.
    """
    newest = {}
    for row in passes.rows:
        if row.computed:
            newest[row.whose] = row
        else:
            last = newest.get(row.whose)
            assert last is not None, f"{row.whose} reused what it never had"
            assert not same or torch.equal(row.output, last.output)
            between = range(last.evaluation, row.evaluation)
            assert all(any(r.whose == row.whose for r in passes.of(e)) for e in between)
    assert any(not row.computed for row in passes.rows), "nothing was reused"


def holding(method, model, level, reuses=True, **options):
    """The model with a method that holds, and reuses every other evaluation or nothing."""
    options = {"max_consecutive_skips": 1, "forecast": "hold", **options}
    if method == "FBCache":
        return caching.cached(model, float(reuses), level, **options)
    policy = caching.static(method, 10.0 * reuses)
    return caching.with_policies(model, policy, level=level, **options)


def assert_exact_where_nothing_changes(model, method, level, see, steps=2, **more):
    """What is evaluated again at the same point, and reused, is what was computed there."""
    with followed(model, **see) as (clone, passes):
        evaluated_thrice(wan, holding(method, clone, level), steps=steps, **more)
    tolerance = {"rtol": 0, "atol": 0} if level == "output" else {"rtol": 1e-5, "atol": 1e-5}
    pairs = [
        (before.output, row.output)
        for again in range(3 * steps)
        for before in passes.of(again - 1)
        for row in passes.of(again)
        if again % 3 and row.whose == before.whose and before.computed and not row.computed
    ]
    assert len(pairs) >= steps - 1 > 0
    for computed, reused in pairs:
        torch.testing.assert_close(computed, reused, **tolerance)


def assert_composes(model, method, level, steps=6, see=None, **more):
    """Never reusing changes no bit, a reuse at the same input is exact, and every row its own.

    The passes of a sampling that reuses every other evaluation. see: how they are ``followed``.
    """
    see = see or {}
    never = holding(method, model, level, reuses=False)
    assert torch.equal(wan.sample(model, 4, **more), wan.sample(never, 4, **more))
    assert_exact_where_nothing_changes(model, method, level, see, **more)
    with followed(model, **see) as (clone, passes):
        wan.sample(holding(method, clone, level), steps, **more)
    assert_reused_rows_are_their_own(passes, same=level == "output")
    return passes
