"""How alike two clips are, against naive versions and by hand."""

import json
import math

import pytest
import torch

from cache_core import StepCacheError
from cache_core.comparison import MOST_DECIBELS, as_json, compare, difference, told

CLIP = torch.rand(3, 16, 18, 3, generator=torch.Generator().manual_seed(0))
"""Three frames of 18x16."""


def noisy(size, clip=CLIP):
    noise = torch.randn(clip.shape, generator=torch.Generator().manual_seed(1))
    return (clip + size * noise).clamp(0, 1)


def numbers(clip):
    return clip.double().tolist()


def naive_psnr(a, b):
    """Pixel by pixel, of nested lists."""
    errors = [
        (p - q) ** 2
        for lines in zip(a, b, strict=True)
        for pixels in zip(*lines, strict=True)
        for values in zip(*pixels, strict=True)
        for p, q in [values]
    ]
    return 10 * math.log10(len(errors) / sum(errors))


def naive_ssim(a, b):
    """Wang et al. 2004, window by window, of frames."""
    places = torch.arange(11, dtype=torch.float64) - 5
    line = torch.exp(-places.square() / (2 * 1.5**2))
    window = torch.outer(line, line)
    window = window / window.sum()
    values = []
    for x, y in zip(a.double().unbind(-1), b.double().unbind(-1), strict=True):
        for top in range(x.shape[0] - 10):
            for left in range(x.shape[1] - 10):
                p, q = (v[top : top + 11, left : left + 11] for v in (x, y))
                values.append(naive_window(p, q, window))
    return sum(values) / len(values)


def naive_window(p, q, window):
    mp, mq = (window * p).sum(), (window * q).sum()
    vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
    both = (window * (p - mp) * (q - mq)).sum()
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mp * mq + c1) * (2 * both + c2)
    return (top / ((mp**2 + mq**2 + c1) * (vp + vq + c2))).item()


def naive_temporal(a, b, frame):
    """Value by value: what one clip changes from a frame to the next, and the other does not."""
    a, b = a.double().flatten(1).tolist(), b.double().flatten(1).tolist()
    found = [
        abs((b[frame + 1][i] - b[frame][i]) - (a[frame + 1][i] - a[frame][i]))
        for i in range(len(a[0]))
    ]
    return sum(found) / len(found)


@pytest.mark.parametrize("size", [0.01, 0.5])
def test_every_frame_is_measured_as_naively(size):
    other = noisy(size)
    found = compare(CLIP, other)
    assert len(found.psnrs) == len(found.likeness) == 3 and len(found.unrest) == 2
    for frame, (a, b) in enumerate(zip(CLIP, other, strict=True)):
        assert found.psnrs[frame] == pytest.approx(naive_psnr(numbers(a), numbers(b)), abs=1e-9)
        assert found.likeness[frame] == pytest.approx(naive_ssim(a, b), abs=1e-9)
    for frame, value in enumerate(found.unrest):
        assert value == pytest.approx(naive_temporal(CLIP, other, frame), abs=1e-12)


def test_a_clip_is_the_mean_over_its_frames_and_not_over_their_decibels():
    other = torch.cat([noisy(0.01)[:1], noisy(0.4)[1:]])
    found = compare(CLIP, other)
    flat = [[numbers(clip.flatten(0, 1))] for clip in (CLIP, other)]
    assert found.psnr == pytest.approx(naive_psnr(flat[0][0], flat[1][0]), abs=1e-9)
    assert found.psnr < sum(found.psnrs) / 3 - 5
    assert found.ssim == pytest.approx(sum(found.likeness) / 3)
    assert found.temporal == pytest.approx(sum(found.unrest) / 2)


def test_the_same_clip_is_as_alike_as_can_be():
    found = compare(CLIP, CLIP.clone())
    assert found.ssim == pytest.approx(1) and found.temporal == 0
    assert found.psnr == MOST_DECIBELS and found.psnrs == [MOST_DECIBELS] * 3


def test_a_known_error():
    zeros = torch.zeros(2, 12, 12, 3)
    assert compare(zeros, zeros + 0.1).psnr == pytest.approx(20, abs=1e-5)
    assert compare(zeros, zeros + 1).psnr == pytest.approx(0)


def test_less_noise_is_better():
    near, far, farthest = (compare(CLIP, noisy(size)) for size in (0.02, 0.1, 0.4))
    assert near.psnr > far.psnr > farthest.psnr
    assert near.ssim > far.ssim > farthest.ssim
    assert near.temporal < far.temporal < farthest.temporal


def test_an_error_that_stands_still_is_no_temporal_one():
    still = (CLIP * 0.5) + torch.rand(1, 16, 18, 3) * 0.5
    half = CLIP * 0.5
    assert compare(half, still).temporal == pytest.approx(0, abs=1e-7)
    flicker = half + 0.25 * torch.tensor([0.0, 1.0, 0.0])[:, None, None, None]
    assert compare(half, flicker).temporal == pytest.approx(0.25, abs=1e-7)


def test_a_single_frame_does_not_move():
    found = compare(CLIP[:1], noisy(0.1)[:1])
    assert found.unrest == [] and found.temporal == 0
    assert found.psnr == found.psnrs[0]


def test_the_worst_frame_is_the_one_least_alike():
    assert compare(CLIP, torch.cat([CLIP[:1], noisy(0.2)[1:2], noisy(0.1)[2:]])).worst == 1


def test_the_difference_is_a_mean_over_channels():
    found = difference(torch.tensor([[[0.0, 0.5, 1.0]]]), torch.tensor([[[0.3, 0.5, 0.7]]]))
    assert found.shape == (1, 1) and found.item() == pytest.approx(0.2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_compared_as_what_it_says(dtype):
    low = CLIP.to(dtype)
    assert compare(low, noisy(0.1)).psnr == compare(low.double(), noisy(0.1)).psnr


WRONG = {
    "another length": (torch.zeros(5, 16, 18, 3), "`candidate` has 5 frames of 18x16, `reference` "
                       "3 frames of 18x16: only clips of the same length and size"),
    "another size": (torch.zeros(3, 18, 16, 3), "`candidate` has 3 frames of 16x18, `reference` 3"),
    "one frame": (torch.zeros(1, 16, 18, 3), "`candidate` has 1 frame of 18x16"),
    "alpha": (torch.zeros(3, 16, 18, 4), "`candidate` has 3 frames of 18x16 in 4 channels"),
}  # fmt: skip


@pytest.mark.parametrize(("candidate", "words"), WRONG.values(), ids=list(WRONG))
def test_what_differs_in_shape_is_refused_with_both_shapes(candidate, words):
    with pytest.raises(StepCacheError) as refusal:
        compare(CLIP, candidate)
    assert words in str(refusal.value) and "Render both" in str(refusal.value)


def test_frames_smaller_than_the_window_are_refused():
    with pytest.raises(StepCacheError, match="3 frames of 18x10, but SSIM needs"):
        compare(CLIP[:, :10], CLIP[:, :10])
    assert compare(CLIP[:, :11], CLIP[:, :11]).ssim == pytest.approx(1)


@pytest.mark.parametrize(("which", "value"), [("reference", math.nan), ("candidate", math.inf)])
def test_frames_that_are_no_numbers_are_named(which, value):
    clips = {"reference": CLIP.clone(), "candidate": CLIP.clone()}
    clips[which][1:, 3, 4, 2] = value
    with pytest.raises(StepCacheError, match=f"`{which}` has .* in 2 frames, .* frame 2"):
        compare(**clips)


def test_in_words_and_numbers_for_every_frame():
    other = torch.cat([CLIP[:1], noisy(0.1)[1:2], noisy(0.05)[2:]])
    found = compare(CLIP, other)
    assert told(found) == [
        f"PSNR {found.psnr:.2f} dB, SSIM {found.ssim:.4f}, "
        f"temporal-difference error {found.temporal:.5f}, over 3 frames",
        f"least alike: frame 2 with {found.psnrs[1]:.2f} dB, SSIM {found.likeness[1]:.4f}",
    ]
    numbers = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert numbers["psnr"] == found.psnr and numbers["frames"]["psnr"] == found.psnrs
    assert numbers["frames"]["temporal_difference_error"] == [None, *found.unrest]
    assert numbers["frames"]["ssim"] == found.likeness


def test_clips_that_are_the_same_are_called_so():
    same = compare(CLIP, CLIP.clone())
    assert same.same and told(same) == ["identical to the last bit in all of 3 frames"]
    assert not compare(CLIP, CLIP + 1e-7).same
