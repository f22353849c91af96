"""The tiny Wan: words, clips, codec and checkpoints are what they say."""

import pytest
import torch
from safetensors import safe_open
from tiny_wan import codec, given, model, sample, shapes, train, words

LATENT = (16, 5, 16, 16)
EVERY_SHAPE = [f"{colour} {shape}" for colour in words.COLOURS for shape in words.SHAPES]
CHECKPOINTS = {path.stem: path for path in (train.BASE, train.LOW_NOISE, train.IMAGE)}
CHANNELS = {train.IMAGE.stem: 36}
TEXTS = ["red disc right fast", "blue ring up slow", "green cross left slow", ""]


@pytest.fixture(params=list(CHECKPOINTS))
def checkpoint(request):
    path = CHECKPOINTS[request.param]
    assert path.exists(), f"{path} is part of the repository: train it, as its README says."
    return path


@pytest.mark.parametrize("seed", range(5))
def test_the_codec_gives_back_what_it_was_given(seed):
    frames = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    latent = codec.encode(frames)
    assert latent.shape == LATENT
    torch.testing.assert_close(codec.decode(latent), frames, rtol=0, atol=1e-6)


def test_channels_beyond_the_pixels_are_not_needed_to_decode():
    latent = codec.encode(shapes.render("red disc", 1))
    blank = latent.clone()
    blank[codec.PIXELS :] = 0
    assert torch.equal(codec.decode(blank), codec.decode(latent))


def test_a_picture_is_a_clamped_enlargement():
    frames = shapes.render("white square", 3)
    picture = codec.picture(codec.encode(frames) * 1.5)
    assert picture.shape == (5, 3, 128, 128)
    assert picture.min() >= 0 and picture.max() <= 1


def test_latents_have_about_zero_mean_and_unit_variance():
    latents = torch.stack([codec.encode(shapes.render("", seed)) for seed in range(100)])
    by_channel = latents.movedim(1, 0).flatten(1)
    assert by_channel.mean(1).abs().max() < 0.1
    assert (by_channel.std(1) - 1).abs().max() < 0.15


@pytest.mark.parametrize("text", ["", "red disc", "fast up cyan cross", "ring"])
def test_rendering_depends_on_the_prompt_and_the_seed_alone(text):
    clip = shapes.render(text, 7)
    torch.manual_seed(0)
    assert torch.equal(clip, shapes.render(text, 7))
    assert not torch.equal(clip, shapes.render(text, 8))
    assert clip.shape == (5, 3, 32, 32)
    assert clip.min() >= 0 and clip.max() <= 1


def coverage(clip, colour):
    """How much of each pixel is of this colour, in each frame: [frames, height, width]."""
    wanted = torch.tensor(words.COLOURS[colour])[:, None, None]
    return ((clip - wanted).abs().amax(1) < 0.02).float()


@pytest.mark.parametrize("text", EVERY_SHAPE)
def test_a_clip_shows_the_colour_asked_for_and_no_other(text):
    clip, asked = shapes.render(text, len(text)), text.split()[0]
    for colour in words.COLOURS:
        shown = coverage(clip, colour).sum((1, 2))
        assert (shown > 8).all() if colour == asked else not shown.any()


@pytest.mark.parametrize(
    ("direction", "axes"),
    [("left", (-1.0, 0.0)), ("right", (1.0, 0.0)), ("up", (0.0, -1.0)), ("down", (0.0, 1.0))],
)
@pytest.mark.parametrize(("speed", "pixels"), [("slow", 1.0), ("fast", 3.5)])
def test_a_clip_moves_as_asked(direction, axes, speed, pixels):
    for seed in range(5):
        cover = coverage(shapes.render(f"white disc {direction} {speed}", seed), "white")
        places = torch.stack(torch.meshgrid(*[torch.arange(32.0)] * 2, indexing="xy"))
        centres = (cover[:, None] * places).sum((2, 3)) / cover.sum((1, 2))[:, None]
        expected = pixels * torch.tensor(axes)
        torch.testing.assert_close(centres.diff(dim=0).mean(0), expected, rtol=0, atol=0.2)


@pytest.mark.parametrize("text", ["red dice", "Red, purple disc", "disc right very fast"])
def test_an_unknown_word_is_named_with_the_words_that_are_known(text):
    unknown = next(w for w in ("dice", "purple", "very") if w in text)
    with pytest.raises(ValueError, match="is not a word this model knows") as refusal:
        words.embed(text)
    message = str(refusal.value)
    assert repr(unknown) in message and repr(text) in message
    assert all(word in message for word in words.VOCABULARY)


def test_two_words_of_a_kind_are_refused():
    with pytest.raises(ValueError, match="'red' and 'blue' both name a colour"):
        words.parse("red disc blue")


def test_prompts_are_read_whatever_their_order_case_and_punctuation():
    plain = words.embed("red disc right fast")
    assert plain.shape == (1, words.TOKENS, words.TEXT_DIM) == (1, 8, 4096)
    for text in ("fast right disc red", " RED,disc. right\nfast, "):
        assert torch.equal(words.embed(text), plain)


@pytest.mark.parametrize("text", ["disc", "blue ring", "red disc right", "red disc right fast"])
def test_embeddings_have_unit_variance_however_many_words_there_are(text):
    given = words.embed(text)[0][: len(words.KINDS)]
    spread = given[given.any(dim=-1)].std(-1)
    assert len(spread) == len(text.split())
    torch.testing.assert_close(spread, torch.ones_like(spread), rtol=0, atol=0.06)


def test_words_left_out_are_zeros_and_words_differ():
    assert not words.embed("").any() and not words.embed(" , ").any()
    assert words.embed("disc").any(dim=-1).sum() == 1
    vectors = torch.stack(list(words.word_vectors().values()))
    alike = torch.corrcoef(vectors) - torch.eye(len(vectors))
    assert alike.abs().max() < 0.1


BLOCK = {
    **{f"{kind}_attn.{part}.weight": [128, 128] for kind in ("self", "cross") for part in "qkvo"},
    **{f"{kind}_attn.{part}.bias": [128] for kind in ("self", "cross") for part in "qkvo"},
    **{f"{kind}_attn.norm_{part}.weight": [128] for kind in ("self", "cross") for part in "qk"},
    "norm3.weight": [128], "norm3.bias": [128], "modulation": [1, 6, 128],
    "ffn.0.weight": [512, 128], "ffn.0.bias": [512],
    "ffn.2.weight": [128, 512], "ffn.2.bias": [128],
}  # fmt: skip
WAN = {
    "patch_embedding.weight": [128, 16, 1, 2, 2], "patch_embedding.bias": [128],
    "text_embedding.0.weight": [128, 4096], "text_embedding.0.bias": [128],
    "text_embedding.2.weight": [128, 128], "text_embedding.2.bias": [128],
    "time_embedding.0.weight": [128, 256], "time_embedding.0.bias": [128],
    "time_embedding.2.weight": [128, 128], "time_embedding.2.bias": [128],
    "time_projection.1.weight": [768, 128], "time_projection.1.bias": [768],
    "head.head.weight": [64, 128], "head.head.bias": [64], "head.modulation": [1, 2, 128],
    **{f"blocks.{i}.{name}": shape for i in range(10) for name, shape in BLOCK.items()},
}  # fmt: skip


def test_checkpoints_have_the_names_and_shapes_of_a_wan_and_stay_small(checkpoint):
    with safe_open(checkpoint, "pt") as file:
        shapes_by_name = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    channels = CHANNELS.get(checkpoint.stem, 16)
    assert shapes_by_name == {**WAN, "patch_embedding.weight": [128, channels, 1, 2, 2]}
    assert checkpoint.stat().st_size <= 8e6


def test_checkpoints_are_trained(checkpoint):
    """They predict the velocity of clips far better than no model, which has a loss near 2."""
    tiny = model.load_tiny_wan(checkpoint)
    clean = sample.clips(TEXTS, [1001, 1002, 1003, 1004])
    image = clean if checkpoint.stem in CHANNELS else None
    for sigma, limit in ((0.8, 0.6), (0.5, 0.5), (0.25, 0.5)):
        assert errors(tiny, clean, sigma, image).mean() < limit


def errors(tiny, clean, sigma, image=None):
    """Squared errors of the velocity of clips; image: the clips whose first frames are given."""
    noise, context = sample.noise(range(4)), torch.cat([words.embed(text) for text in TEXTS])
    inputs = (1 - sigma) * clean + sigma * noise
    if image is not None:
        inputs = torch.cat([inputs, given.beside_noise(image)], dim=1)
    with torch.inference_mode():
        velocity = tiny(inputs, torch.full((4,), 1000 * sigma), context)
    return (velocity - (noise - clean)).square()


def test_the_image_model_goes_on_from_the_frame_it_is_given():
    """In nearly pure noise nothing else tells where the shape is; another clip's frame misleads."""
    tiny = model.load_tiny_wan(train.IMAGE)
    clean = sample.clips(TEXTS, [1001, 1002, 1003, 1004])
    told, misled = (errors(tiny, clean, 0.95, image) for image in (clean, clean.roll(1, 0)))
    assert told[:, :, 0].mean() < 0.2 * misled[:, :, 0].mean()
    assert told[:, :, 1:].mean() < 0.6 * misled[:, :, 1:].mean()


def test_what_is_given_is_the_first_frame_its_mask_and_nothing_else():
    clean = sample.clips(["red disc"], [5])
    mask, image = given.beside_noise(clean).split([4, 16], dim=1)
    assert mask[:, :, 0].all() and not mask[:, :, 1:].any()
    assert torch.equal(image[:, :, 0], clean[:, :, 0])
    torch.testing.assert_close(codec.decode(image[0, :, 1:]), torch.full((4, 3, 32, 32), 0.5))


def test_a_widened_model_starts_as_the_one_it_is_made_of():
    narrow = model.load_tiny_wan(train.BASE)
    wide = model.widened(narrow, 36)
    inputs, times, context = torch.randn(1, 36, *LATENT[1:]), torch.tensor([700.0]), words.embed("")
    with torch.inference_mode():
        expected = narrow(inputs[:, :16], times, context)
        torch.testing.assert_close(wide(inputs, times, context), expected)
