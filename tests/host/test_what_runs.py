"""What of the model still runs on a reused evaluation."""

import pytest

pytestmark = pytest.mark.every_host


class Counter:
    """How often a module was called while the counter was attached."""

    def __init__(self, module):
        self.calls = 0
        self.handle = module.register_forward_hook(self._count)

    def _count(self, module, args, output):
        self.calls += 1


@pytest.fixture
def calls(model):
    """Calls of block 0, of every other block, and of the head."""
    diffusion = model.model.diffusion_model
    counters = [Counter(module) for module in [*diffusion.blocks, diffusion.head]]
    yield lambda: [counter.calls for counter in counters]
    for counter in counters:
        counter.handle.remove()


ALL_8, COMPUTED_3 = 8, 3
"""Evaluations of the runs below, and how many of them are computed: CRRCRRCR."""


@pytest.mark.parametrize(
    ("level", "head"), [("output", COMPUTED_3), ("hidden", ALL_8)], ids=["output", "hidden"]
)
def test_batched_reuse_runs_block_0_only(wan, caching, model, calls, traces, level, head):
    wan.sample(caching.cached(model, level=level, max_consecutive_skips=2), steps=ALL_8)
    assert caching.actions(traces[0]) == "CRRCRRCR"
    assert calls() == [ALL_8, COMPUTED_3, COMPUTED_3, COMPUTED_3, head]


@pytest.mark.parametrize(
    ("level", "block_0", "head"),
    [("output", ALL_8 + COMPUTED_3, 2 * COMPUTED_3), ("hidden", 2 * ALL_8, 2 * ALL_8)],
    ids=["output", "hidden"],
)
def test_separate_reuse_runs_block_0_at_most(
    wan, caching, model, calls, traces, run_separately, level, block_0, head
):
    run_separately(model)
    wan.sample(caching.cached(model, level=level, max_consecutive_skips=2), steps=ALL_8)
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == "CRRCRRCR"
    assert calls() == [block_0, *[2 * COMPUTED_3] * 3, head]


@pytest.mark.parametrize("name", ["text_embedding", "rope_embedder"])
def test_without_blocks_nothing_is_embedded_for_them(wan, caching, model, name):
    counter = Counter(getattr(model.model.diffusion_model, name))
    static = caching.with_policies(model, caching.static("MagCache"), level="hidden")
    try:
        wan.sample(static, steps=3)
    finally:
        counter.handle.remove()
    assert counter.calls == 1
