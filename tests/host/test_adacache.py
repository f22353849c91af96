"""AdaCache measures a block of computed steps, and looks its next interval up in a codebook."""

from importlib import import_module
from itertools import pairwise

import pytest
import torch

STEPS = 16
LAYERS = 4
MANY = ", ".join(f"{i / 50:.2f}:{i}" for i in range(1, 51))
"""A codebook that tells what was measured, to 0.02."""


@pytest.fixture(scope="session")
def watching(host):
    return import_module("watching")


@pytest.fixture
def measured(part, monkeypatch):
    """The distances that AdaCache was asked to judge and had not read before, in order."""
    policy, found = part("cache_core.adacache").AdaCache, []
    judge = policy.judge

    def watched(self, state, distance):
        if state.change is not None:
            found.append(distance)
        return judge(self, state, distance)

    monkeypatch.setattr(policy, "judge", watched)
    return found


class Blocks:
    """What every block of a model adds to its input, by call; rows as the host batches them."""

    def __init__(self, model):
        self.added = {}
        self.handles = [
            block.register_forward_hook(self._keeper(index))
            for index, block in enumerate(model.model.diffusion_model.blocks)
        ]

    def _keeper(self, index):
        def keep(block, args, out):
            self.added.setdefault(index, []).append((out - args[0]).clone())

        return keep

    def release(self):
        for handle in self.handles:
            handle.remove()


def applied(caching, model, codebook, probe_block=-1, motion=False, **options):
    widgets = {"codebook": codebook, "probe_block": probe_block, "motion": motion}
    return caching.applied("AdaCache", model, widgets=widgets, **options)


def sampled(wan, caching, model, codebook, steps=STEPS, way=None, **options):
    """One sampling; what the blocks added in it."""
    blocks = Blocks(model)
    try:
        wan.sample(applied(caching, model, codebook, **options), steps, **(way or {}))
    finally:
        blocks.release()
    return blocks.added


def cond_row(added):
    """Strided tokens of the cond rows, which the host batches last."""
    return added.chunk(2)[1][:, ::8].double()


def distance(now, before, interval=1):
    """|f - c|_1 / |c|_1 over the steps between them."""
    return float((now - before).abs().sum() / before.abs().sum()) / interval


@pytest.mark.every_host
@pytest.mark.parametrize(("probe_block", "block"), [(-1, 2), (0, 0), (1, 1), (3, 3)])
def test_its_distances_are_those_of_the_block(wan, caching, model, measured, probe_block, block):
    """Everything is computed: intervals are 1, and every step is compared with the one before."""
    added = sampled(wan, caching, model, "1:1", probe_block=probe_block)
    assert len(added[block]) == STEPS
    features = [cond_row(values) for values in added[block]]
    expected = [distance(b, a) for a, b in pairwise(features)]
    assert measured == pytest.approx(expected[:-1], rel=1e-4)  # the last is not needed any more
    others = [cond_row(values) for values in added[(block + 1) % LAYERS]]
    assert abs(measured[0] / distance(others[1], others[0]) - 1) > 1e-3


def naive_plan(wan, plan_of, book, warmup, steps):
    """The codebook's loop; ``plan_of(step)``: what the block added in a computed step."""
    plan, interval, last, before = "", 1, None, None
    for step in range(steps):
        if last is None or step < warmup or step - last >= interval:
            plan += "C"
            now = plan_of(len(plan.replace("R", "")) - 1)
            if before is not None:
                change = distance(now, before, step - last)
                interval = next((n for d, n in book if change < d), book[-1][1])
            last, before = step, now
        else:
            plan += "R"
    return plan


BOOKS = {
    "many": MANY,
    "few": "0.01:6, 0.02:5, 0.03:4, 0.05:3, 0.08:2, 1:1",
    "constant": "100:3",
    "all beyond": "0.0001:1, 0.0002:4",
}


@pytest.mark.parametrize("level", ["output", "hidden"])
@pytest.mark.parametrize("warmup", [1, 4])
@pytest.mark.parametrize("text", BOOKS.values(), ids=list(BOOKS))
def test_its_plan_is_the_codebooks_loop(wan, caching, model, traces, text, warmup, level):
    added = sampled(wan, caching, model, text, steps=24, warmup_steps=warmup, level=level)
    book = [(float(d), int(n)) for d, n in (pair.split(":") for pair in text.split(","))]
    features = [cond_row(values) for values in added[2]]
    expected = naive_plan(wan, features.__getitem__, book, warmup, 24)
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == expected
    assert "R" in expected
    assert traces[0].failsafes() == {}


def test_the_block_is_looked_at_only_when_computed_and_only_it(
    wan, caching, part, model, traces, monkeypatch
):
    call, looked = part("cache_core.call").Call, []
    watch = call.watch

    def watched(self, block, *tensors):
        looked.append((self.evaluation.index, block))
        watch(self, block, *tensors)

    monkeypatch.setattr(call, "watch", watched)
    sampled(wan, caching, model, "100:3")
    plan = caching.actions(traces[0])
    assert looked == [(step, LAYERS // 2) for step, what in enumerate(plan) if what == "C"]
    assert plan.count("R") >= 8


@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate"])
@pytest.mark.parametrize("level", ["output", "hidden"])
def test_it_waits_for_the_device_only_after_computed_steps(
    wan, caching, watching, model, traces, monkeypatch, run_separately, separately, level
):
    if separately:
        run_separately(model)
    reads = watching.counted_reads(monkeypatch)
    plain, before = watching.watched(model, reads)
    seen, during = watching.watched(model, reads)
    cached = applied(caching, seen, "100:3", level=level)
    wan.sample(cached, 2)
    during.clear()
    wan.sample(plain, STEPS)
    wan.sample(cached, STEPS)
    plan = caching.actions(traces[-1])
    assert plan == "CCRRCRRCRRCRRCRR"
    ours = [one - other for one, other in zip(during, before, strict=True)]
    expected = [int(step > 1 and plan[step - 1] == "C") for step in range(STEPS)]
    assert ours == expected


@pytest.mark.parametrize("block", [4, 40])
def test_a_block_that_the_model_has_not_is_refused_at_the_node(caching, part, model, block):
    error = part("cache_core").StepCacheError
    with pytest.raises(error, match=rf"`probe_block`.*{block}.*below 4"):
        applied(caching, model, "1:2", probe_block=block)


def test_a_negative_block_is_refused(caching, part, model):
    error = part("cache_core").StepCacheError
    with pytest.raises(error, match=r"`probe_block`.*-2.*-1 for the middle"):
        applied(caching, model, "1:2", probe_block=-2)


WRONG = {
    "empty": "",
    "no pairs": "fast",
    "one number": "0.1",
    "three numbers": "0.1:2:3",
    "descending": "0.2:2, 0.1:3",
    "equal": "0.2:2, 0.2:3",
    "no interval": "0.1:0",
    "half an interval": "0.1:1.5",
    "negative": "-0.1:2",
    "not finite": "nan:2",
    "infinite": "0.1:2, inf:1",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=list(WRONG))
def test_a_wrong_codebook_is_refused_before_queueing_and_when_it_runs(watching, part, model, text):
    node, error = part("nodes.adacache").ApplyAdaCache, part("cache_core").StepCacheError
    said = node.validate_inputs(codebook=text)
    assert isinstance(said, str)
    assert repr(text) in said and "such as" in said and "`codebook`" in said
    with pytest.raises(error, match="`codebook`"):
        watching.execute(node, model=model, preset="custom", codebook=text)


@pytest.mark.parametrize("text", [*BOOKS.values(), " 0.1 : 2 ,\n 1:1 ", None])
def test_a_right_one_or_one_from_a_link_is_let_through(part, text):
    assert part("nodes.adacache").ApplyAdaCache.validate_inputs(codebook=text) is True


def motion_in(features, frames):
    """How much the same places of neighbouring frames differ, to the power of 8."""
    now, before = (
        features.unflatten(1, (frames, -1))[:, 1:],
        features.unflatten(1, (frames, -1))[:, :-1],
    )
    share = (now - before).abs().sum() / (now.abs().sum() + before.abs().sum())
    return float(share / 0.385) ** 8


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_motion_multiplies_what_is_measured(wan, caching, model, traces, measured, frames):
    """Of all tokens; a single frame has none, and is measured as it is."""
    way = {"size": (frames, 7, 9)}
    added = sampled(wan, caching, model, "1000:1", motion=True, way=way)
    features = [values.chunk(2)[1].double() for values in added[2]]
    expected = []
    for before, now in pairwise(features[:-1]):
        factor = 1.0
        if frames > 1:
            past, strength = motion_in(before, frames), motion_in(now, frames)
            factor = strength + 10 * abs(strength - past)
        expected.append(distance(now, before) * factor)
    assert measured == pytest.approx(expected, rel=1e-3)
    assert traces[0].failsafes() == {}


def test_two_runs_are_the_same(wan, caching, model, traces):
    cached = applied(caching, model, "0.01:6, 0.03:4, 0.05:3, 1:2")
    assert torch.equal(wan.sample(cached, STEPS), wan.sample(cached, STEPS))
    assert caching.metrics(traces[0]) == caching.metrics(traces[1])


def test_beside_a_foreign_patch_on_the_probed_block(wan, caching, model, traces, measured):
    """The patch still runs, and what it makes of the block is what is compared."""
    ran, patched = [], model.clone()

    def twice(args, extra):
        ran.append(1)
        out = extra["original_block"](args)["img"]
        return {"img": args["img"] + 2 * (out - args["img"])}

    patched.set_model_patch_replace(twice, "dit", "double_block", 2)
    plain = wan.sample(patched, 6)
    assert torch.equal(plain, wan.sample(applied(caching, patched, "1:1"), 6))
    assert len(ran) == 12
    ran.clear()
    wan.sample(applied(caching, patched, "100:3"), STEPS)
    assert len(ran) == caching.actions(traces[-1]).count("C") < STEPS
