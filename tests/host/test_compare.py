"""Step Cache Compare, as the host calls it."""

import json
from importlib import import_module

import pytest
import torch

SIDE, HEAT, PSNR, SSIM, TEMPORAL, TEXT, JSON = range(7)


@pytest.fixture
def compare(part, pack):
    """What the node gives for two clips: its outputs."""
    node, execute = part("nodes.compare").StepCacheCompare, import_module("watching").execute
    return lambda reference, candidate, **more: execute(
        node, reference=reference, candidate=candidate, **more
    )


@pytest.fixture
def clips():
    """Two clips of six frames that differ more from frame to frame."""
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(6, 24, 32, 3, generator=generator)
    size = torch.linspace(0.01, 0.1, 6)[:, None, None, None]
    noise = torch.randn(reference.shape, generator=generator)
    return reference, (reference + size * noise).clamp(0, 1)


def test_the_outputs_are_pictures_and_the_numbers_of_the_core(compare, clips, part):
    reference, candidate = clips
    told = compare(*clips)
    assert torch.equal(told[SIDE][:, :, :32], reference)
    assert torch.equal(told[SIDE][:, :, 32:], candidate)
    assert told[HEAT].shape == reference.shape and told[HEAT].dtype == torch.float32
    assert 0 <= told[HEAT].min() < told[HEAT].max() <= 1
    found = part("cache_core.comparison").compare(reference, candidate)
    assert (told[PSNR], told[SSIM], told[TEMPORAL]) == (found.psnr, found.ssim, found.temporal)
    assert f"PSNR {found.psnr:.2f} dB" in told[TEXT]
    assert json.loads(told[JSON])["frames"]["psnr"] == found.psnrs


def test_the_inputs_are_left_as_they_are(compare, clips):
    before = [clip.clone() for clip in clips]
    compare(*clips)
    assert all(torch.equal(*pair) for pair in zip(before, clips, strict=True))


def test_a_smaller_range_shows_smaller_differences(compare, clips):
    assert compare(*clips, heat_map_range=0.02)[HEAT].sum() > compare(*clips)[HEAT].sum() * 1.5


def test_the_same_clip_is_black_and_as_alike_as_can_be(compare, clips):
    told = compare(clips[0], clips[0])
    assert told[HEAT].max() < 0.02 and told[PSNR] == 100 and told[TEMPORAL] == 0
    assert told[TEXT].startswith("identical")


def test_a_batch_of_one_is_a_picture(compare, clips):
    assert compare(clips[0][:1], clips[1][:1])[SIDE].shape == (1, 24, 64, 3)


@pytest.mark.parametrize("cut", [(slice(5),), (slice(None), slice(20))], ids=["frames", "height"])
def test_other_shapes_are_refused_in_words(compare, clips, cut):
    with pytest.raises(ValueError, match=r"`candidate` has \d frames of 32x.., `refer"):
        compare(clips[0], clips[1][cut])
