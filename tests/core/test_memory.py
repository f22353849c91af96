"""What a cache will hold is known before it holds it."""

import pytest
import torch

from cache_core import FBCache
from cache_core.adacache import AdaCache
from cache_core.easycache import EasyCache
from cache_core.keeping import Keeping
from cache_core.memory import Footprint, Sizes, footprint, is_out_of_memory, tokens_of

WAN_14B = Sizes(1, 2, (16, 21, 60, 104), 21 * 30 * 52, 5120, torch.bfloat16)
"""480p, 81 frames."""
LATENT, TOKENS = 16 * 21 * 60 * 104, 32760

VALUES = {
    ("output", "model"): 2 * LATENT,
    ("output", "bf16"): 2 * LATENT,
    ("output", "fp16"): 2 * LATENT,
    ("output", "fp8"): LATENT + 4 * LATENT // 104,
    ("hidden", "model"): 2 * TOKENS * 5120,
    ("hidden", "fp8"): TOKENS * (5120 + 4),
}


@pytest.mark.parametrize(("way", "one"), VALUES.items(), ids=map(str, VALUES))
@pytest.mark.parametrize("depth", [1, 2])
def test_values_are_counted_by_branch_depth_and_dtype(way, one, depth):
    found = footprint(WAN_14B, *way, depth, "cond", ())
    assert found == Footprint(2 * depth * one, 0)


def test_a_hidden_residual_of_14b_at_480p_is_320_mib():
    assert WAN_14B.value("hidden", "model") == pytest.approx(320 * 2**20, rel=1e-3)


POLICIES = {
    "FBCache": (FBCache(0.1, downsample=8), TOKENS // 8 * 5120 * 2),
    "every token": (FBCache(0.1, downsample=1), TOKENS * 5120 * 2),
    "a few": (FBCache(0.1, downsample=7), 4680 * 5120 * 2),
    "AdaCache": (AdaCache(((1.0, 2),)), TOKENS // 8 * 5120 * 2),
    "MoReg": (AdaCache(((1.0, 2),), motion=True), TOKENS * 5120 * 2),
    "EasyCache": (EasyCache(0.1), 3 * LATENT * 2),
}


@pytest.mark.parametrize(("policy", "state"), POLICIES.values(), ids=list(POLICIES))
@pytest.mark.parametrize(("cfg_mode", "groups"), [("cond", 1), ("separate", 2), ("all", 2)])
def test_policies_keep_what_they_compare_with_for_every_group(policy, state, cfg_mode, groups):
    found = footprint(WAN_14B, "output", "fp8", 1, cfg_mode, [policy])
    assert found.policies == groups * state
    assert found.total == found.values + found.policies
    assert found.on_device(Keeping("gpu")) == found.total
    assert found.on_device(Keeping("cpu")) == found.policies


@pytest.mark.parametrize(
    ("size", "tokens"), [((21, 60, 104), TOKENS), ((1, 2, 2), 1), ((3, 7, 9), 3 * 4 * 5)]
)
def test_tokens_are_those_of_padded_patches(size, tokens):
    assert tokens_of(size, (1, 2, 2)) == tokens


ERRORS = {
    "gpu": (torch.OutOfMemoryError("CUDA out of memory"), True),
    "cpu": (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
    "python": (MemoryError(), True),
    "defect": (RuntimeError("shape '[2]' is invalid for input of size 3"), False),
    "other": (ValueError("out of memory"), False),
}


@pytest.mark.parametrize(("error", "memory"), ERRORS.values(), ids=list(ERRORS))
def test_lack_of_memory_is_told_from_defects(error, memory):
    assert is_out_of_memory(error) is memory


def test_the_allocator_of_this_machine_is_understood():
    with pytest.raises(RuntimeError) as error:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(error.value)
