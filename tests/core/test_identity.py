"""Which Wan a model is, how that is known, and how it is told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_core import Identity, RunFacts
from cache_core.identity import REMEDY, percent_of
from cache_core.variants import FAMILIES, PUBLISHED, variants_of

DIMS = {"1.3B": (1536, 30), "5B": (3072, 30), "14B": (5120, 40), "other": (192, 6)}


def seen(kind, size, channels, last_frame=False):
    """A model recognised by its shapes alone."""
    return Identity(size, kind, *DIMS[size], variants_of(kind, size, channels, last_frame))


def names(identity):
    """The variants it can be."""
    return [variant.name for variant in identity.candidates]


T2V_1_3B = seen("t2v", "1.3B", 16)
T2V_14B = seen("t2v", "14B", 16)
I2V_14B = seen("i2v", "14B", 36)
I2V_A14B = seen("t2v", "14B", 36)
TI2V_5B = seen("t2v", "5B", 48)
FLF2V = seen("i2v", "14B", 36, last_frame=True)

SHAPES = [  # model -> what it can be, the likeliest first
    (T2V_1_3B, ["wan2.1_t2v_1.3B"]),
    (T2V_14B, ["wan2.1_t2v_14B", "wan2.2_t2v_A14B_high", "wan2.2_t2v_A14B_low"]),
    (I2V_14B, ["wan2.1_i2v_480p_14B", "wan2.1_i2v_720p_14B"]),
    (I2V_A14B, ["wan2.2_i2v_A14B_high", "wan2.2_i2v_A14B_low"]),
    (TI2V_5B, ["wan2.2_ti2v_5B"]),
    (FLF2V, ["wan2.1_flf2v_14B"]),
    (seen("vace", "1.3B", 16), ["wan2.1_vace_1.3B"]),
    (seen("vace", "14B", 16), ["wan2.1_vace_14B"]),
    (seen("camera", "14B", 36), ["wan_camera_14B", "wan_camera_14B_high", "wan_camera_14B_low"]),
    (seen("s2v", "14B", 16), ["wan_s2v_14B", "wan_s2v_14B_high", "wan_s2v_14B_low"]),
    (seen("t2v", "14B", 99), ["wan_t2v_14B", "wan_t2v_14B_high", "wan_t2v_14B_low"]),
    (seen("t2v", "other", 16), ["wan_t2v_other", "wan_t2v_other_high", "wan_t2v_other_low"]),
    (seen("vace", "5B", 48), ["wan_vace_5B", "wan_vace_5B_high", "wan_vace_5B_low"]),
]


@pytest.mark.parametrize(("identity", "expected"), SHAPES)
def test_shapes_leave_these_variants(identity, expected):
    assert names(identity) == expected
    assert identity.variant is identity.candidates[0]
    assert "by its architecture" in identity.label
    assert identity.label.isascii()


FILES = [  # model, file name -> what it can be
    (T2V_14B, "wan2.1_t2v_14B_fp16.safetensors", ["wan2.1_t2v_14B"]),
    (T2V_14B, "wan2.1_t2v_14B_fp8_e4m3fn.safetensors", ["wan2.1_t2v_14B"]),
    (T2V_14B, "Wan2_1-T2V-14B_fp8_e4m3fn.safetensors", ["wan2.1_t2v_14B"]),
    (T2V_14B, "wan21_t2v_14b.gguf", ["wan2.1_t2v_14B"]),
    (T2V_14B, "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors", ["wan2.2_t2v_A14B_high"]),
    (T2V_14B, "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors", ["wan2.2_t2v_A14B_low"]),
    (T2V_14B, "Wan2_2-T2V-A14B-LOW_fp8_e4m3fn_scaled_KJ.safetensors", ["wan2.2_t2v_A14B_low"]),
    (T2V_14B, "Wan2_2-T2V-A14B_HIGH_fp8_e4m3fn_scaled_KJ.safetensors", ["wan2.2_t2v_A14B_high"]),
    (T2V_14B, "Wan2.2-T2V-A14B-HighNoise-Q4_K_M.gguf", ["wan2.2_t2v_A14B_high"]),
    (T2V_14B, "wan22_t2v_14b_hn_q8.gguf", ["wan2.2_t2v_A14B_high"]),
    (T2V_14B, "T2V-A14B.safetensors", ["wan2.2_t2v_A14B_high", "wan2.2_t2v_A14B_low"]),
    (T2V_14B, "t2v_14b_low_noise.safetensors", ["wan2.2_t2v_A14B_low"]),
    (I2V_A14B, "wan2.2_i2v_high_noise_14B_Q4_K_S.gguf", ["wan2.2_i2v_A14B_high"]),
    (I2V_A14B, "wan2.2_i2v_low_noise_14B_fp16.safetensors", ["wan2.2_i2v_A14B_low"]),
    (I2V_A14B, "Wan2.2-I2V-A14B-HighNoise-Q5_0.gguf", ["wan2.2_i2v_A14B_high"]),
    (I2V_A14B, "Wan2_2-I2V-A14B-LOW_bf16.safetensors", ["wan2.2_i2v_A14B_low"]),
    (I2V_14B, "wan2.1-i2v-14b-480p-Q4_K_M.gguf", ["wan2.1_i2v_480p_14B"]),
    (I2V_14B, "Wan2_1-I2V-14B-720P_fp8.safetensors", ["wan2.1_i2v_720p_14B"]),
    (I2V_14B, "wan2.1_i2v_720p_14B_bf16.safetensors", ["wan2.1_i2v_720p_14B"]),
    (I2V_14B, "Wan2.1_14B-720P_I2V_finetune.safetensors", ["wan2.1_i2v_720p_14B"]),
    (I2V_14B, "WAN/I2V/720p/wan2.1-i2v-14b-480p-Q8_0.gguf", ["wan2.1_i2v_480p_14B"]),
    (I2V_14B, "wan\\480p\\Wan2_1-I2V-14B-720P_fp8.safetensors", ["wan2.1_i2v_720p_14B"]),
    (T2V_14B, "high\\low/wan2.1/wan2.2_t2v_low_noise_14B.safetensors", ["wan2.2_t2v_A14B_low"]),
]  # fmt: skip

UNTOLD = [  # model, file name that tells nothing, says both, or cannot be true
    (T2V_14B, "model.safetensors"),
    (T2V_14B, "wan_14b_fp8_e4m3fn.safetensors"),
    (T2V_14B, "wan2.1_to_wan2.2_merge.safetensors"),
    (T2V_14B, "wan2.2/unet.safetensors"),
    (T2V_14B, "wan_v12.1024.safetensors"),
    (T2V_14B, "my_wan_merge_20250821.safetensors"),
    (T2V_14B, "wan_t2v_14b_1022.safetensors"),
    (I2V_14B, "wan_i2v_finetune_step14800.safetensors"),
    (T2V_14B, "highres_lowvram_wan.gguf"),
    (T2V_14B, "yellow_thigh_wan.gguf"),
    (I2V_14B, "wan_i2v_480p_720p.safetensors"),
    (I2V_14B, "wan2.2_i2v_high_noise_14B.safetensors"),
    (I2V_14B, "480p/i2v.safetensors"),
    (I2V_A14B, "wan2.2_i2v_high_and_low_merged.safetensors"),
    (I2V_A14B, "Wan2_1-I2V-14B-720P_fp8.safetensors"),
    (T2V_1_3B, "wan2.2_t2v_high_noise_14B.safetensors"),
    (TI2V_5B, "wan2.2_ti2v_5B_fp16.safetensors"),
    (T2V_14B, ""),
    (T2V_14B, None),
]


@pytest.mark.parametrize(("identity", "file_name", "expected"), FILES)
def test_file_names_tell_what_shapes_cannot(identity, file_name, expected):
    named = identity.named(file_name)
    assert names(named) == expected
    alone = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    assert f"by its file name {alone}" in named.label


@pytest.mark.parametrize(("identity", "file_name"), UNTOLD)
def test_file_names_that_tell_nothing_change_nothing(identity, file_name):
    assert identity.named(file_name) == identity


@pytest.mark.parametrize(("identity", "_"), SHAPES)
def test_a_doubt_is_told_with_what_it_may_be_and_the_remedy(identity, _):
    others = [v.label for v in identity.candidates[1:] if v.name in PUBLISHED]
    assert ("assumed" in identity.label) == bool(others)
    for other in others:
        assert other in identity.label
    settled = not others_of(identity, identity.variant.family)
    assert (REMEDY in identity.label) != settled  # no node can tell high from low noise


def test_labels_word_for_word():
    assert T2V_1_3B.label == "Wan 2.1 T2V 1.3B, by its architecture"
    assert I2V_14B.label == (
        "Wan 2.1 I2V 480p 14B, by its architecture, assumed; "
        "may be Wan 2.1 I2V 720p 14B: its file's name can tell, or model_variant or calibration "
        "where a node has it"
    )
    named = T2V_14B.named("wan2.2_t2v_low_noise_14B.safetensors")
    assert named.label == (
        "Wan 2.2 T2V A14B low noise, by its file name wan2.2_t2v_low_noise_14B.safetensors"
    )
    assert "(dim 192, 6 layers)" in seen("t2v", "other", 16).label


WHOLE, HIGH, LOW = RunFacts(1.0, 0.0), RunFacts(1.0, 0.875), RunFacts(0.875, 0.0)
MIDDLE = RunFacts(0.95, 0.8)

RUNS = [  # model, run -> what it is taken for, how that is known
    (T2V_14B, WHOLE, "wan2.1_t2v_14B", "guessed from sigmas 1.000 to 0.000"),
    (T2V_14B, HIGH, "wan2.2_t2v_A14B_high", "guessed from sigmas 1.000 to 0.875"),
    (T2V_14B, LOW, "wan2.2_t2v_A14B_low", "guessed from sigmas 0.875 to 0.000"),
    (T2V_14B, MIDDLE, "wan2.2_t2v_A14B_high", "guessed from sigmas 0.950 to 0.800"),
    (I2V_A14B, HIGH, "wan2.2_i2v_A14B_high", "guessed from sigmas"),
    (I2V_A14B, LOW, "wan2.2_i2v_A14B_low", "guessed from sigmas"),
    (I2V_A14B, WHOLE, "wan2.2_i2v_A14B_high", "assumed; may be Wan 2.2 I2V A14B low noise"),
    (T2V_14B.named("wan2.1_t2v_14B.safetensors"), HIGH, "wan2.1_t2v_14B", "by its file name"),
    (T2V_14B.named("wan2.2_t2v_low_noise.gguf"), HIGH, "wan2.2_t2v_A14B_low", "by its file name"),
    (T2V_1_3B, LOW, "wan2.1_t2v_1.3B", "by its architecture"),
    (seen("camera", "14B", 36), WHOLE, "wan_camera_14B", "by its architecture"),
    (seen("camera", "14B", 36), HIGH, "wan_camera_14B_high", "guessed from sigmas"),
    (seen("camera", "14B", 36), LOW, "wan_camera_14B_low", "guessed from sigmas"),
    (I2V_14B, RunFacts(height=480, width=832), "wan2.1_i2v_480p_14B", "frames of 832x480"),
    (I2V_14B, RunFacts(height=832, width=480), "wan2.1_i2v_480p_14B", "frames of 480x832"),
    (I2V_14B, RunFacts(height=720, width=1280), "wan2.1_i2v_720p_14B", "frames of 1280x720"),
    (I2V_14B, RunFacts(height=544, width=960), "wan2.1_i2v_480p_14B", "frames of 960x544"),
    (I2V_14B, RunFacts(height=576, width=1088), "wan2.1_i2v_720p_14B", "frames of 1088x576"),
    (I2V_14B, RunFacts(height=2160, width=3840), "wan2.1_i2v_720p_14B", "frames of 3840x2160"),
    (I2V_14B, RunFacts(height=480), "wan2.1_i2v_480p_14B", "assumed; may be Wan 2.1 I2V 720p"),
    (I2V_14B.named("wan2.1-i2v-14b-720p.gguf"), RunFacts(height=480, width=832),
     "wan2.1_i2v_720p_14B", "by its file name"),
    (FLF2V, RunFacts(height=480, width=832), "wan2.1_flf2v_14B", "by its architecture"),
]  # fmt: skip


@pytest.mark.parametrize(("identity", "facts", "variant", "told"), RUNS)
def test_a_run_tells_what_neither_shapes_nor_names_do(identity, facts, variant, told):
    running = identity.running(facts)
    assert running.variant.name == variant
    assert told in running.label


@pytest.mark.parametrize(
    ("first", "last", "expert"),
    [
        (1.0, 0.875, "high"), (1.0, 0.51, "high"), (1.0, 0.5, None), (0.98, 0.0, None),
        (0.97, 0.0, None), (0.969, 0.0, "low"), (0.9, 0.0, "low"), (0.95, 0.94, "high"),
        (0.5, 0.1, "low"),
    ],
)  # fmt: skip
def test_sigmas_of_high_and_low_noise_runs(first, last, expert):
    found = T2V_14B.running(RunFacts(first, last)).variant
    assert found.expert == expert


CHOSEN = [(identity, family) for identity, _ in SHAPES for family in FAMILIES]


@pytest.mark.parametrize(("identity", "family"), CHOSEN)
def test_model_variant_settles_it(identity, family):
    chosen = identity.overridden(family)
    assert {variant.family for variant in chosen.candidates} == {family}
    assert "as model_variant says" in chosen.label
    assert (chosen.size, chosen.kind, chosen.dim) == (identity.size, identity.kind, identity.dim)


@pytest.mark.parametrize("family", FAMILIES)
def test_who_has_set_model_variant_is_not_told_to_set_it(family):
    for facts in (WHOLE, HIGH, LOW):
        label = T2V_14B.overridden(family).running(facts).label
        assert REMEDY not in label


@pytest.mark.parametrize("family", ["wan2.2_t2v_A14B", "wan2.2_i2v_A14B"])
def test_of_a_chosen_pair_the_run_tells_the_expert(family):
    chosen = T2V_14B.overridden(family)
    assert [chosen.running(facts).variant.expert for facts in (HIGH, LOW)] == ["high", "low"]


def test_auto_changes_nothing_and_families_are_complete():
    assert T2V_14B.overridden("auto") is T2V_14B
    assert len(FAMILIES) == len(set(FAMILIES)) == 10
    assert {variant.family for variant in PUBLISHED.values()} == set(FAMILIES)


@pytest.mark.parametrize("expert", ["high", "low"])
def test_a_place_on_a_node_tells_the_expert(expert):
    for identity in (T2V_14B, I2V_A14B, T2V_14B.overridden("wan2.2_t2v_A14B")):
        placed = identity.placed(expert)
        assert placed.variant.expert == expert
        assert f"{expert} noise by its place on the node" in placed.label
        opposite = HIGH if expert == "low" else LOW
        assert placed.running(opposite).variant.expert == expert


def test_a_place_cannot_make_a_pair_of_a_model_that_is_none():
    assert T2V_1_3B.placed("high") == T2V_1_3B
    named = T2V_14B.named("wan2.1_t2v_14B.safetensors")
    assert named.placed("low") == named


def test_variants_tell_their_family():
    for name, variant in PUBLISHED.items():
        assert variant.name == name
        assert (variant.expert is None) == (variant.family == name)
        assert variant.generation == name[3:6]
        assert variant.label.startswith(f"Wan {variant.generation} ")


@settings(max_examples=60)
@given(st.floats(0.0, 1.0), st.floats(1.0, 16.0), st.sampled_from([1.0, 14.6]))
def test_percents_are_found_from_sigmas(percent, shift, most):
    def flow(at):
        return most * shift * (1 - at) / (1 + (shift - 1) * (1 - at))

    assert percent_of(flow(percent), flow) == pytest.approx(percent, abs=1e-6)


@pytest.mark.parametrize(("sigma", "percent"), [(1.5, 0.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 1.0)])
def test_sigmas_beyond_the_schedule_are_its_ends(sigma, percent):
    assert percent_of(sigma, lambda p: 1 - p) == pytest.approx(percent, abs=1e-9)


GUESSED = [row[:2] for row in RUNS if row[3].startswith(("guessed", "frames"))]


def others_of(identity, taken_for):
    """The published Wans it can be besides the one it is taken for; a pair is one of them."""
    others = [v for v in identity.candidates if v.name in PUBLISHED]
    names = {v.label.removesuffix(f" {v.expert} noise") for v in others if v.family != taken_for}
    return sorted(names)


@pytest.mark.parametrize(("identity", "facts"), GUESSED)
def test_a_guess_from_the_run_says_what_else_it_may_be(identity, facts):
    """A whole run of a high noise model alone looks like one of Wan 2.1; frames are no proof."""
    guess = identity.running(facts)
    others = others_of(identity, guess.variant.family)
    for label in others:
        assert label in guess.label
    assert (REMEDY in guess.label) == bool(others)
