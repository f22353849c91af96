"""What is kept of an output, and how the output comes back from it."""

import numpy as np
import pytest
import torch
from flow import Flow, Planned, flow_run, random_latent
from hypothesis import given
from hypothesis import strategies as st

from cache_core import RunFacts
from cache_core.anchors import keep, restore
from cache_core.easycache import EasyCache

ANCHORS = ("velocity", "denoised", "input")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SIGMAS = [1.0, 0.937, 0.5, 0.05]


def naive_kept(anchor, v, z, sigma):
    """v, the denoised latent z - sigma v, or the output relative to the input v - z."""
    return {"velocity": v, "denoised": z - sigma * v, "input": v - z}[anchor]


def naive_restored(anchor, kept, z, sigma):
    """The v that each belongs to."""
    return {"velocity": kept, "denoised": (z - kept) / sigma, "input": z + kept}[anchor]


def made(anchor, v, z, sigma):
    """What is kept, in a buffer of its own."""
    into = torch.full_like(v, float("nan"))
    keep(anchor, v, z, sigma, into)
    return into


def rounding(dtype, sigma, *parts):
    """How far two roundings to a type may lead."""
    most = max(float(abs(part).max()) for part in parts)
    return 2 * torch.finfo(dtype).eps * most / sigma


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("anchor", ANCHORS)
def test_kept_and_restored_are_the_formulas(anchor, sigma, dtype):
    v, z, other = (random_latent(seed, dtype=dtype) for seed in (1, 2, 3))
    exact = [t.double().numpy() for t in (v, z, other)]
    kept = made(anchor, v, z, sigma)
    assert kept.dtype == dtype
    naive = naive_kept(anchor, *exact[:2], sigma)
    limit = rounding(dtype, 1, *exact, naive)
    np.testing.assert_allclose(kept.double().numpy(), naive, rtol=0, atol=limit)
    naive = naive_restored(anchor, kept.double().numpy(), exact[2], sigma)
    restored = restore(anchor, kept.clone(), other, sigma)
    limit = rounding(dtype, sigma, *exact, kept.double().numpy())
    np.testing.assert_allclose(restored.double().numpy(), naive, rtol=0, atol=limit)


@given(
    anchor=st.sampled_from(ANCHORS),
    sigma=st.floats(0.02, 1.0),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 50),
)
def test_the_same_latent_gets_its_own_output_back(anchor, sigma, dtype, seed):
    v, z = random_latent(seed, dtype=dtype), random_latent(seed + 99, dtype=dtype)
    back = restore(anchor, made(anchor, v, z, sigma), z, sigma)
    limit = 0 if anchor == "velocity" else 2 * rounding(dtype, sigma, v.double(), z.double())
    assert (back.double() - v.double()).abs().max() <= limit


@pytest.mark.parametrize("anchor", ANCHORS)
def test_output_and_latent_stay_as_they_were(anchor):
    v, z = random_latent(1), random_latent(2)
    before = v.clone(), z.clone()
    kept = made(anchor, v, z, 0.5)
    restore(anchor, kept, z, 0.5)
    assert torch.equal(v, before[0]) and torch.equal(z, before[1])
    assert len({t.data_ptr() for t in (v, z, kept)}) == 3


# In a run


def reused(run, velocity, dtype=torch.float32):
    """The path of a run that computes its first step only, and its first velocity."""
    flow = Flow(run, velocity)
    path = flow.sample(random_latent(dtype=dtype))
    return path, [told["cond"] for told in flow.told]


def random_velocity(x, sigma, branch):
    return random_latent(5, x.shape, x.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_with_fresh_noise_the_denoised_latent_is_held(dtype):
    sigmas = [0.9, 0.7, 0.4, 0.2, 0.0]
    facts = RunFacts(steps=20.0, counted=True, renoises=True)
    run = flow_run(Planned("CRRR"), sigmas=sigmas, facts=facts)
    path, velocities = reused(run, random_velocity, dtype)
    start = path[0].double() - 0.9 * velocities[0].double()
    limit = 8 * rounding(dtype, 0.2, start, path[0].double())
    for x, v, sigma in zip(path[:-1], velocities, sigmas, strict=False):
        assert v.dtype == dtype
        assert (x.double() - sigma * v.double() - start).abs().max() <= limit


@pytest.mark.parametrize("dtype", DTYPES)
def test_easycache_held_is_the_output_relative_to_the_input_as_published(dtype):
    """On a skip v_i = z_i + (v_last - z_last)."""
    sigmas = torch.linspace(0.9, 0, 21).tolist()
    run = flow_run(EasyCache(9.0), sigmas=sigmas, forecast="hold", correction="off")
    path, velocities = reused(run, lambda x, s, b: -0.5 * x + s, dtype)
    told = [record.action.value for record in run.trace.records]
    assert told.count("reuse") == 18
    last = 0
    for step, (x, v, what) in enumerate(zip(path[:-1], velocities, told, strict=False)):
        if what == "compute":
            last = step
        naive = x.double() + (velocities[last].double() - path[last].double())
        limit = 3 * torch.finfo(dtype).eps * 6
        assert (v.double() - naive).abs().max() <= limit
