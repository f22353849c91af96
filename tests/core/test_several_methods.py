"""Methods that look at different things, together in one run, against naive ones in one run."""

import gc
import weakref
from dataclasses import fields as fields_of
from itertools import pairwise

import numpy as np
import pytest
import torch
from flow import DIM, EULER, SHAPE, TOKENS, Flow, Planned, flow_run, random_latent
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_adacache import NaiveAdaCache
from naive_easycache import NaiveEasyCache
from toy import pattern

import cache_core.call
from cache_core import FBCache, RunFacts
from cache_core.adacache import AdaCache
from cache_core.branches import Chunk
from cache_core.call import Call
from cache_core.config import GuardDefaults
from cache_core.easycache import EasyCache
from cache_core.interval import Interval

STEPS = 18
SIGMAS = torch.linspace(0.97, 0, STEPS + 1).tolist()
BOOK = {0.02: 4, 0.1: 2, 1.0: 1}
WARM = GuardDefaults(0.0, 1, None, 2)
LATENT = torch.zeros(SHAPE, dtype=torch.float64).nbytes
FEATURES = torch.zeros(SHAPE[0], TOKENS, DIM, dtype=torch.float64).nbytes


def drifting(seed, pace):
    """Features that drift, block 0 twice as fast as the others."""
    rng = np.random.default_rng(seed)
    base, turn = rng.normal(size=(2, SHAPE[0], TOKENS, DIM))
    drift = np.cumsum(pace * rng.uniform(0, 2, STEPS))
    return lambda step, name, block: torch.tensor(
        base + drift[step] * (2 if block == 0 else 1) * turn
    )


def velocity_of(seed):
    pull, push = np.random.default_rng(seed).uniform(0.3, 2.0, 2)
    return lambda x, s, name="cond": -pull * x + push * np.sin(5 * s)


class NaiveFirstBlock:
    """mean|f_ref - f| / mean|f_ref| against the last computed step."""

    def __init__(self, threshold):
        self.threshold, self.reference, self.margin = threshold, None, np.inf

    def votes(self, step, now):
        if self.reference is None or step < 2 or step == STEPS - 1:
            return False
        change = np.abs(now - self.reference).sum() / np.abs(self.reference).sum()
        self.margin = min(self.margin, abs(change - self.threshold))
        return change < self.threshold


def naive_run(order, numbers, seed, pace):
    """Who reuses each step, '-' where nobody does, and how close that came to a tie."""
    fb, easy = NaiveFirstBlock(numbers["F"]), NaiveEasyCache(numbers["E"], 2, STEPS)
    ada = NaiveAdaCache(BOOK, STEPS, 2, 1)
    features, velocity = drifting(seed, pace), velocity_of(seed)
    x, kept, told = random_latent(seed).numpy(), None, ""
    for step, sigma in enumerate(SIGMAS[:-1]):
        first, middle = (features(step, "cond", block).numpy() for block in (0, 2))
        votes = {"F": fb.votes(step, first), "E": easy.skips(step, x), "A": ada.votes(step)}
        told += next((who for who in order if votes[who]), "-")
        if told[-1] == "-":
            kept = velocity(x, sigma) - (x if order[0] == "E" else 0)
            easy.computed(x, velocity(x, sigma))
            ada.full(middle)
            fb.reference = first
        v = kept + (x if order[0] == "E" else 0)
        x = x + (SIGMAS[step + 1] - sigma) * v
    return told, min(fb.margin, easy.margin, ada.margin), x


def policies(order, numbers):
    made = {
        "F": FBCache(numbers["F"], downsample=1),
        "E": EasyCache(numbers["E"]),
        "A": AdaCache(tuple(BOOK.items()), downsample=1),
    }
    return [made[who] for who in order]


def together(order, numbers, seed, pace, **more):
    """A run of these methods."""
    told = {"forecast": "hold", "correction": "off", "guards": WARM}
    run = flow_run(*policies(order, numbers), sigmas=SIGMAS, **{**told, **more})
    flow = Flow(run, velocity_of(seed), blocks=drifting(seed, pace))
    return run, flow


@settings(max_examples=60)
@given(
    order=st.permutations("FEA").map("".join) | st.sampled_from(["F", "E", "EA", "FA", "AF", "FE"]),
    fb=st.sampled_from([0.0, 0.03, 0.08, 0.2]),
    easy=st.sampled_from([0.0, 0.05, 0.2, 0.6]),
    seed=st.integers(0, 999),
    pace=st.sampled_from([0.01, 0.03, 0.1]),
)
def test_the_first_that_reuses_does_and_all_learn_from_what_happens(order, fb, easy, seed, pace):
    numbers = {"F": fb, "E": easy}
    naive, margin, end = naive_run(order, numbers, seed, pace)
    assume(margin > 1e-4)
    run, flow = together(order, numbers, seed, pace)
    path = flow.sample(random_latent(seed))
    assert "".join((record.method or "-")[0] for record in run.trace.records) == naive
    size = 1 + np.abs(end).max()
    np.testing.assert_allclose(path[-1].numpy(), end, rtol=0, atol=1e-4 * size)
    assert run.trace.errors == 0


def test_in_the_reference_all_of_them_reuse():
    """Else the test above would tell nothing."""
    told = "".join(naive_run("FEA", {"F": 0.03, "E": 0.1}, s, 0.03)[0] for s in range(6))
    assert min(told.count(who) for who in "FEA-") > 4


def states_of(run):
    (group,) = run.groups.values()
    return dict(zip((policy.name[0] for policy in run.policies), group.states, strict=True))


def test_whoever_computes_resets_everyone():
    run, flow = together("FEA", {"F": 0.03, "E": 0.1}, 0, 0.03)
    x, reused = random_latent(), []
    for step, sigma in enumerate(SIGMAS[:-1]):
        velocity = flow.evaluate(x, step, sigma)
        states, (group,) = states_of(run), run.groups.values()
        reused.append((run.trace.records[-1].method or "-")[0])
        assert torch.equal(states["E"].latent, x)
        if reused[-1] != "-":
            assert states["A"].elapsed == group.skips_in_row > 0
        else:
            assert (states["E"].total, states["A"].elapsed, group.skips_in_row) == (0, 0, 0)
            assert group.computed_at == step and torch.equal(states["E"].computed_latent, x)
            now = drifting(0, 0.03)(step, "cond", 0)
            torch.testing.assert_close(states["F"].reference, now)
        x = x + (SIGMAS[step + 1] - sigma) * velocity
    assert set(reused) == set("FEA-")


# Bytes


def held(run):
    """Bytes held now."""
    return run.store.nbytes + sum(group.nbytes for group in run.groups.values())


@pytest.mark.parametrize("depth", [1, 2])
def test_bytes_are_counted_once_however_many_share_them(depth):
    """Two computed steps: depth values, one latent and one output, two features, two scalars."""
    forecast = {"forecast": "taylor", "max_order": depth - 1}
    run, flow = together("FEA", {"F": 0.0, "E": 0.0}, 1, 0.03, **forecast)
    flow.sample(random_latent(), 2)
    scalars = 4 + states_of(run)["A"].change.nbytes
    expected = depth * LATENT + 2 * LATENT + 2 * FEATURES + scalars
    assert held(run) == run.trace.peak_bytes == expected


@pytest.mark.parametrize("order", ["E", "A", "F", "FEA"])
def test_a_closed_run_holds_nothing(order):
    run, flow = together(order, {"F": 0.15, "E": 0.2}, 1, 0.03)
    flow.sample(random_latent())
    (group,) = run.groups.values()
    values = (getattr(state, f.name) for state in group.states for f in fields_of(state))
    kept = [weakref.ref(value) for value in values if isinstance(value, torch.Tensor)]
    kept += [weakref.ref(v) for h in run.store.histories.values() for v in h.values]
    assert len(kept) >= 2
    run.close()
    del group, flow, values
    gc.collect()
    assert [ref for ref in kept if ref() is not None] == []
    assert held(run) == 0


@pytest.mark.parametrize("order", ["E", "A", "F", "FEA", "EF"])
def test_the_peak_is_the_most_that_was_ever_held(order):
    run, flow = together(order, {"F": 0.15, "E": 0.2}, 1, 0.03)
    x, most = random_latent(), 0
    for step, sigma in enumerate(SIGMAS[:-1]):
        x = x + (SIGMAS[step + 1] - sigma) * flow.evaluate(x, step, sigma)
        most = max(most, held(run))
    assert "R" in pattern(run)
    assert run.trace.peak_bytes == most


def test_a_run_of_too_few_steps_keeps_and_reads_nothing(monkeypatch):
    def forbidden(scalars):
        raise AssertionError("the device was waited for")

    monkeypatch.setattr(cache_core.call, "read_scalars", forbidden)
    facts = RunFacts(steps=6.0, counted=True)
    made = [EasyCache(9.0), AdaCache(((9.0, 9),)), Interval(3)]
    run = flow_run(*made, sigmas=torch.linspace(1, 0, 7).tolist(), facts=facts)
    Flow(run, velocity_of(1)).sample(random_latent())
    assert pattern(run) == "C" * 6 and run.trace.failsafes() == {}
    assert (held(run), run.trace.peak_bytes) == (0, 0)


# Who decides


@pytest.mark.parametrize("order", ["E", "A", "F", "FEA"])
def test_another_deciding_branch_starts_from_nothing(order):
    run, flow = together(order, {"F": 9e-1, "E": 9.0}, 1, 0.001, guards=GuardDefaults(0.0, 0, None))
    both, other = ("cond", "uncond"), ("uncond", "cond")
    flow.split, x = True, random_latent()
    for step, names in enumerate([both] * 4 + [other] * 3):
        flow.names = names
        flow.evaluate(x * (1 + step / 50), step, SIGMAS[step])
    assert pattern(run)[3] == "R" and pattern(run)[4] == pattern(run, "uncond")[4] == "C"
    assert "changed input" in run.trace.failsafes()
    assert run.trace.errors == 0


# What the sampler gets


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_held_output_is_the_computed_one_bit_by_bit_in_memory_of_its_own(dtype, split):
    run = flow_run(Planned("CRRCR"), sigmas=SIGMAS[:6], forecast="hold")

    def velocity(x, sigma, name):
        return random_latent(int(1000 * sigma) + len(name), x.shape, x.dtype)

    names = ("cond", "uncond")
    flow = Flow(run, velocity, names, split, meddles=True)
    flow.sample(random_latent(dtype=dtype))
    for step, last in enumerate((0, 0, 0, 3, 3)):
        for name in names:
            expected = velocity(flow.path[0], SIGMAS[last], name)
            assert torch.equal(flow.told[step][name], expected)


@pytest.mark.parametrize("forecast", ["hold", "auto"])
def test_a_reused_output_has_the_type_of_the_computed_one(forecast):
    """A model may put out another type than it takes."""
    run = flow_run(Planned("CCRC"), sigmas=SIGMAS[:5], forecast=forecast)
    flow = Flow(run, lambda x, sigma, name: (0.5 * x).to(torch.bfloat16))
    flow.sample(random_latent(dtype=torch.float32))
    assert {told["cond"].dtype for told in flow.told} == {torch.bfloat16}
    assert run.trace.errors == 0


# A block that is watched and observed


def test_block_0_can_be_watched_and_observed_in_the_same_call():
    """It is shown to those who watch it before those who decide by it are asked."""
    made = [FBCache(0.0, downsample=1), AdaCache(((1.0, 3),), probe_block=0, downsample=1)]
    run = flow_run(*made, sigmas=SIGMAS, forecast="hold")
    flow = Flow(run, velocity_of(1), blocks=drifting(1, 0.03))
    x = random_latent()
    run.begin(torch.tensor([0.9] * len(x)))
    call = Call.of(run, flow.chunks(x, ("cond",)), x)
    block = flow.block(0, ("cond",), 0)
    call.watch(0, *block)
    call.observe(*block)
    call.record_output(x)
    assert states_of(run)["A"].features is not None


class Failing(AdaCache):
    """Cannot look at its block."""

    def features(self, before, after):
        raise ArithmeticError("no features")


@pytest.mark.parametrize("others", [(), (FBCache(0.3, downsample=1),)])
def test_a_watcher_that_fails_costs_the_cache_and_not_the_render(others):
    run = flow_run(Failing(((1.0, 3),)), *others, sigmas=SIGMAS, forecast="hold")
    velocity = velocity_of(1)
    path = Flow(run, velocity, blocks=drifting(1, 0.001)).sample(random_latent())
    x = random_latent()
    for sigma, following in pairwise(SIGMAS):
        x = x + (following - sigma) * velocity(x, sigma)
    assert run.trace.errors > 0
    if not others:
        assert pattern(run) == "C" * STEPS
        torch.testing.assert_close(path[-1], x)


# Residuals of the block stack


def hidden_call(run, tokens, stack, output, step, sigma):
    """One call at hidden level: the tokens behind the stack."""
    latent = random_latent(step)
    run.begin(torch.tensor([sigma] * len(latent)))
    call = Call.of(run, [Chunk("cond", 0, 0, slice(0, len(latent)), ("same",))], latent)
    if not call.settled:
        call.observe(tokens, tokens + 1)
    after = call.reuse(tokens) if call.reuses else None
    if after is None:
        after = tokens + stack
        call.record_residual(tokens, after, output)
    call.close(0.0)
    run.end()
    return after


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("forecast", ["hold", "taylor", "auto"])
def test_residuals_are_forecast_and_added_to_the_tokens_and_never_corrected(forecast, dtype):
    plan = "CCRRCR"
    options = {"forecast": forecast, "time_axis": "step", "correction": "on"}
    if forecast == "hold":
        options.pop("time_axis")
    run = flow_run(Planned(plan), sigmas=SIGMAS[:7], facts=EULER, cache_level="hidden", **options)
    slope = {"hold": 0.0, "taylor": 1.0, "auto": 0.6}[forecast]
    shape, known = (2, TOKENS, DIM), []
    for step, what in enumerate(plan):
        tokens = random_latent(40 + step, shape, dtype)
        stack = random_latent(80 + step, shape, dtype)
        before = tokens.clone()
        after = hidden_call(run, tokens, stack, None, step, SIGMAS[step])
        assert torch.equal(tokens, before) and after.dtype == dtype
        if what == "C":
            known.append((step, (after - tokens).double()))
            continue
        (first, old), (last, new) = known[-2:]
        naive = new + slope * (step - last) * (new - old) / (last - first) + tokens.double()
        limit = 8 * torch.finfo(dtype).eps * naive.abs().max().item()
        assert (after.double() - naive).abs().max() <= limit
        assert after.data_ptr() != tokens.data_ptr()
    assert run.trace.errors == 0 and not run.forecast.corrects
    assert run.store.nbytes == run.store.depth * 2 * TOKENS * DIM * dtype.itemsize


def test_easycache_learns_from_the_output_where_residuals_are_kept():
    run = flow_run(EasyCache(9.0), sigmas=SIGMAS, cache_level="hidden")
    tokens, outputs = random_latent(1, (2, TOKENS, DIM)), [random_latent(60), random_latent(61)]
    for step, output in enumerate(outputs):
        hidden_call(run, tokens, tokens, output, step, SIGMAS[step])
    state = states_of(run)["E"]
    assert torch.equal(state.output, outputs[1]) and torch.equal(state.latent, random_latent(1))
    naive = (outputs[1] - outputs[0]).abs().mean() / (
        random_latent(1) - random_latent(0)
    ).abs().mean()
    assert state.gain.item() == pytest.approx((naive / outputs[1].abs().mean()).item(), rel=1e-5)
