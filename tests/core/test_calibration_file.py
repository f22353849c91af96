"""Calibration files: what is written is read, at once or not at all, and nothing else is read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from cache_core import Identity, StepCacheError
from cache_core import calibration_file as files
from cache_core.fitting import PolynomialFit
from cache_core.magcache_presets import MagCacheChoice
from cache_core.teacache_presets import TeaCacheChoice
from cache_core.variants import PUBLISHED, variants_of

MODEL = Identity("14B", "t2v", 5120, 40, variants_of("t2v", "14B", 16, False))
OTHER = replace(MODEL, dim=1536, layers=30)
STEPS = 5


def row(*values):
    """Numbers as a file holds them."""
    return torch.tensor(values, dtype=torch.float64)


def measured(branches=("cond", "uncond"), fitted=True, size=0.9):
    """The tensors of a section."""
    tensors = {"sigmas": row(1.0, 0.9, 0.7, 0.4, 0.2)}
    for place, branch in enumerate(branches):
        tensors[f"{branch}.mag_ratio"] = row(1.0, *[size - place / 10] * (STEPS - 1))
        tensors[f"{branch}.output_gram"] = torch.eye(STEPS, dtype=torch.float64)
    for signal in ("e", "e0") if fitted else ():
        tensors[f"{signal}.coefficients"] = row(1.0, 2.0, 3.0, 4.0, len(signal))
        tensors[f"{signal}.fit_range"] = row(0.1, 0.5)
        tensors[f"{signal}.r_squared"] = row(0.75)
    return tensors


FACTS = {"variant": "wan2.1_t2v_14B", "steps": STEPS, "sampler": "euler"}


def written(path, sections=("single",), identity=MODEL, change=None, header=None, **more):
    """A file with these sections; ``change`` may spoil its tensors, ``header`` its header."""
    content = files.empty(identity)
    for section in sections:
        content.merge(section, FACTS, measured(**more))
    if change:
        change(content.tensors)
    if header:
        header(content.header)
    files.write(path, content)
    return path


def leftovers(path):
    """Files next to it."""
    return sorted(p.name for p in path.parent.iterdir() if p != path)


def test_what_is_written_is_read(tmp_path):
    found = files.read(written(tmp_path / "mine.safetensors"))
    assert (found.file, found.kind, found.dim, found.layers) == (
        "mine.safetensors",
        "t2v",
        5120,
        40,
    )
    (section,) = found.sections
    assert (section.name, section.variant) == ("single", "wan2.1_t2v_14B")
    assert section.sigmas == (1.0, 0.9, 0.7, 0.4, 0.2)
    assert section.ratios == ((1.0, 0.9, 0.9, 0.9, 0.9), (1.0, 0.8, 0.8, 0.8, 0.8))
    assert section.e == PolynomialFit((1.0, 2.0, 3.0, 4.0, 1.0), 0.1, 0.5, 0.75)
    assert section.fit("e0").coefficients[-1] == 2.0
    assert leftovers(tmp_path / "mine.safetensors") == []


@settings(max_examples=25)
@given(
    levels=st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=30, unique=True),
    data=st.data(),
)
def test_any_curve_comes_back_exactly(tmp_path_factory, levels, data):
    sigmas = sorted(levels, reverse=True)
    size = st.lists(st.floats(1e-3, 10.0), min_size=len(sigmas), max_size=len(sigmas))
    rows = [data.draw(size) for _ in range(data.draw(st.integers(1, 2)))]
    content = files.empty(MODEL)
    tensors = {f"{b}.mag_ratio": row(*r) for b, r in zip(("cond", "uncond"), rows, strict=False)}
    content.merge("single", FACTS, {"sigmas": row(*sigmas), **tensors})
    path = tmp_path_factory.mktemp("curve") / "a.safetensors"
    files.write(path, content)
    (section,) = files.read(path).sections
    assert section.sigmas == tuple(sigmas)
    assert section.ratios == tuple(map(tuple, rows))
    assert (section.e, section.e0) == (None, None)


def test_the_same_calibration_gives_the_same_bytes(tmp_path):
    first = written(tmp_path / "a.safetensors", ("high", "low")).read_bytes()
    assert written(tmp_path / "b.safetensors", ("low", "high")).read_bytes() == first
    again = files.read_content(tmp_path / "a.safetensors")
    files.write(tmp_path / "c.safetensors", again)
    assert (tmp_path / "c.safetensors").read_bytes() == first


def test_other_programs_can_read_it(tmp_path):
    path = written(tmp_path / "a.safetensors")
    with safe_open(path, framework="pt") as opened:
        header = json.loads(opened.metadata()["wan_step_cache"])
        assert opened.get_tensor("single.cond.mag_ratio").dtype == torch.float64
    assert header["format"] == 1
    assert header["model"] == {"kind": "t2v", "dim": 5120, "layers": 40}
    assert header["sections"] == {"single": FACTS}


def test_folders_are_made(tmp_path):
    path = written(tmp_path / "new" / "deeper" / "a.safetensors")
    assert files.read(path).sections


def test_a_section_takes_the_place_of_its_older_self_only(tmp_path):
    path = written(tmp_path / "a.safetensors", ("high",))
    content = files.existing(path, MODEL)
    content.merge("low", FACTS, measured(size=0.5))
    files.write(path, content)
    content = files.existing(path, MODEL)
    content.merge("high", {**FACTS, "steps": 99}, measured(("cond",), fitted=False, size=0.7))
    files.write(path, content)
    high, low = files.read(path).sections
    assert (high.name, high.ratios, high.e) == ("high", ((1.0, 0.7, 0.7, 0.7, 0.7),), None)
    assert (low.name, low.ratios[0][1], len(low.ratios)) == ("low", 0.5, 2)
    assert files.read_content(path).sections["high"]["steps"] == 99
    assert not any("uncond" in name for name in files.read_content(path).tensors if "high" in name)


def test_sections_whose_names_begin_alike_stay_apart():
    content = files.empty(MODEL)
    content.merge("low", FACTS, measured())
    content.merge("lower", FACTS, measured())
    content.merge("low", FACTS, measured(("cond",), fitted=False))
    kept = {name for name in content.tensors if name.startswith("lower.")}
    assert kept == {f"lower.{name}" for name in measured()}


def test_only_a_file_of_the_same_architecture_is_added_to(tmp_path):
    path = written(tmp_path / "a.safetensors")
    assert files.existing(tmp_path / "none.safetensors", MODEL) is None
    assert files.existing(path, OTHER) is None
    assert files.existing(path, replace(MODEL, kind="vace")) is None
    assert set(files.existing(path, MODEL).sections) == {"single"}


def stuck(self, target):
    """A disk that cannot put a file in place."""
    raise OSError("disk full")


@pytest.mark.parametrize("what", ["replace", "write"])
def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch, what):
    path = written(tmp_path / "a.safetensors")
    before = path.read_bytes()
    content = files.existing(path, MODEL)
    content.merge("single", FACTS, measured(size=0.3))
    with monkeypatch.context() as patch:
        if what == "replace":
            patch.setattr(Path, "replace", stuck)
        else:
            patch.setattr(files, "save", lambda tensors, metadata: "no bytes")
        with pytest.raises((OSError, TypeError)):
            files.write(path, content)
    assert path.read_bytes() == before
    assert leftovers(path) == []
    files.write(path, content)
    assert files.read(path).sections[0].ratios[0][1] == 0.3


# Broken files


def drop(name):
    """Without this tensor."""
    return {"change": lambda tensors: tensors.pop(name)}


def put(name, *values):
    """With other numbers in this tensor."""
    return {"change": lambda tensors: tensors.update({name: row(*values)})}


def headed(**fields):
    """With other fields in the header."""
    return {"header": lambda header: header.update(fields)}


NAN, INF = float("nan"), float("inf")
SPOILT = {  # what is wrong -> how it is made, what the message says
    "a newer format": (headed(format=2), "has format 2, but this version reads 1"),
    "no sections": (headed(sections={}), "holds no calibration"),
    "no ratios": (drop("single.cond.mag_ratio"), "single.cond.mag_ratio"),
    "no sigmas": (drop("single.sigmas"), "single.sigmas of shape None"),
    "no range": (drop("single.e0.fit_range"), "single.e0.fit_range"),
    "no r squared": (drop("single.e.r_squared"), "single.e.r_squared"),
    "too few ratios": (put("single.cond.mag_ratio", 1.0, 0.9), "of shape [2], not [5]"),
    "too many ratios": (put("single.uncond.mag_ratio", *[1.0] * 6), "of shape [6], not [5]"),
    "ratios in a matrix": (
        {"change": lambda t: t.update({"single.cond.mag_ratio": torch.ones(1, STEPS)})},
        "of shape [1, 5], not [5]",
    ),
    "sigmas in a matrix": (
        {"change": lambda t: t.update({"single.sigmas": torch.ones(1, STEPS)})},
        "single.sigmas of shape [1, 5]",
    ),
    "a range of three": (put("single.e.fit_range", 0, 1, 2), "of shape [3], not [2]"),
    "a ratio that is none": (put("single.cond.mag_ratio", 1, 1, NAN, 1, 1), "cond.mag_ratio"),
    "an endless ratio": (put("single.uncond.mag_ratio", 1, 1, INF, 1, 1), "uncond.mag_ratio"),
    "a sigma that is none": (put("single.sigmas", 1, 0.9, NAN, 0.4, 0.2), "single.sigmas"),
    "a coefficient that is none": (put("single.e.coefficients", NAN), "single.e.coefficients"),
    "sigmas that rise": (put("single.sigmas", 0.2, 0.4, 0.6, 0.8, 1), "sigmas that do not fall"),
    "sigmas that rest": (put("single.sigmas", 1, 0.8, 0.8, 0.4, 0.2), "sigmas that do not fall"),
    "one sigma": (put("single.sigmas", 1.0), "single.sigmas"),
    "no sigma": (put("single.sigmas"), "single.sigmas"),
    "a ratio of zero": (put("single.cond.mag_ratio", 1, 1, 0, 1, 1), "not positive"),
    "a negative ratio": (put("single.uncond.mag_ratio", 1, 1, -1, 1, 1), "not positive"),
    "no sections at all": ({"header": lambda h: h.pop("sections")}, "single.safetensors"),
    "no model": ({"header": lambda h: h.pop("model")}, "single.safetensors"),
    "half a model": (headed(model={"kind": "t2v"}), "single.safetensors"),
    "sections in a list": (headed(sections=["single"]), "single.safetensors"),
    "facts that are none": (headed(sections={"single": 3}), "single.safetensors"),
}


def refused(path):
    """What reading it says: file, what is wrong, remedy."""
    with pytest.raises(StepCacheError) as refusal:
        files.read(path)
    words = str(refusal.value)
    assert repr(path.name) in words
    assert words.endswith("Calibrate this model again, or choose another file.")
    return words


@pytest.mark.parametrize(("how", "words"), SPOILT.values(), ids=SPOILT.keys())
def test_broken_files_are_refused_with_what_is_wrong_and_the_remedy(tmp_path, how, words):
    assert words in refused(written(tmp_path / "single.safetensors", **how))


def as_text(path):
    path.write_text("cond 1.0 0.9\n")


def as_nothing(path):
    path.write_bytes(b"")


def truncated(path):
    written(path)
    path.write_bytes(path.read_bytes()[:-16])


def cut_in_the_header(path):
    written(path)
    path.write_bytes(path.read_bytes()[:100])


def foreign(path):
    save_file({"lora.weight": torch.zeros(2)}, path)


def foreign_with_metadata(path):
    save_file({"lora.weight": torch.zeros(2)}, path, {"modelspec.title": "a lora"})


def header_is_not_json(path):
    save_file({"a": torch.zeros(2)}, path, {"wan_step_cache": "{not json"})


def header_is_a_list(path):
    save_file({"a": torch.zeros(2)}, path, {"wan_step_cache": "[1, 2]"})


def header_is_a_number(path):
    save_file({"a": torch.zeros(2)}, path, {"wan_step_cache": "1"})


def a_folder(path):
    path.mkdir()


def missing(path):
    pass


NOT_OURS = [
    (as_text, "cannot be read"), (as_nothing, "cannot be read"), (truncated, "cannot be read"),
    (cut_in_the_header, "cannot be read"), (header_is_not_json, "cannot be read"),
    (a_folder, "cannot be read"), (missing, "cannot be read"),
    (foreign, "no calibration of this pack"), (foreign_with_metadata, "no calibration of this"),
    (header_is_a_list, "no calibration of this"), (header_is_a_number, "no calibration of this"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), NOT_OURS)
def test_files_that_are_no_calibration_are_refused(tmp_path, make, words):
    path = tmp_path / "other.safetensors"
    make(path)
    assert words in refused(path)


# Sections and models


def known_as(name):
    """The model of the files here, recognised as one published Wan."""
    return replace(MODEL, candidates=(PUBLISHED[name],))


HIGH, LOW, SINGLE = "wan2.2_t2v_A14B_high", "wan2.2_t2v_A14B_low", "wan2.1_t2v_14B"
WHICH = [  # sections of the file, model -> section used
    (("single",), SINGLE, "single"), (("high", "low"), HIGH, "high"), (("high", "low"), LOW, "low"),
    (("high", "low", "single"), SINGLE, "single"), (("single",), HIGH, "single"),
    (("high", "low", "single"), HIGH, "high"), (("high", "low", "single"), LOW, "low"),
    (("high", "single"), LOW, "single"), (("high", "low"), SINGLE, "high"), (("low",), HIGH, "low"),
]  # fmt: skip


@pytest.mark.parametrize(("sections", "variant", "used"), WHICH)
def test_each_expert_goes_by_its_own_section(tmp_path, sections, variant, used):
    calibration = files.read(written(tmp_path / "a.safetensors", sections))
    identity = known_as(variant)
    section = calibration.section_for(identity, "calibration")
    assert section.name == used
    notes = calibration.notes(section, identity)
    assert notes[0] == f"calibration a.safetensors, section {used}"
    assert (len(notes) == 2) == (variant != "wan2.1_t2v_14B")
    assert notes[1:] in ((), (f"calibrated on wan2.1_t2v_14B, taken for {variant}",))


@pytest.mark.parametrize(
    "identity", [OTHER, replace(MODEL, kind="vace"), replace(MODEL, layers=30)]
)
def test_a_file_of_another_architecture_is_refused_by_both_methods(tmp_path, identity):
    calibration = files.read(written(tmp_path / "a.safetensors"))
    for slot, choice in (
        ("calibration", MagCacheChoice("fast", 0.1, 2, 0.2, calibration=calibration)),
        ("coefficients", TeaCacheChoice("fast", 0.1, calibration=calibration)),
    ):
        with pytest.raises(StepCacheError) as refusal:
            choice.resolve(identity)
        assert str(refusal.value).startswith(f"`{slot}` is 'a.safetensors', ")
        for words in ("dim 5120", "40 layers", "Choose the file of this model"):
            assert words in str(refusal.value)
        assert "`model`" not in str(refusal.value)


@pytest.mark.parametrize("preset", ["quality", "balanced", "fast", "custom"])
def test_methods_go_by_the_file(tmp_path, preset):
    calibration = files.read(written(tmp_path / "a.safetensors"))
    identity = known_as(SINGLE)
    mag = MagCacheChoice(preset, 0.1, 2, 0.2, curve="wan2.1_vace_1.3B", calibration=calibration)
    method = mag.resolve(identity)
    assert method.policy.curve.sigmas == (1.0, 0.9, 0.7, 0.4, 0.2)
    assert method.policy.curve.ratios[1] == (1.0, 0.8, 0.8, 0.8, 0.8)
    assert method.notes[0] == "calibration a.safetensors, section single"
    for use_ret_steps, last in ((True, 2.0), (False, 1.0)):
        tea = TeaCacheChoice(preset, 0.1, use_ret_steps, calibration=calibration)
        resolved = tea.resolve(identity)
        assert resolved.policy.fit.coefficients == (1.0, 2.0, 3.0, 4.0, last)
        assert resolved.policy.fit.sigmas == (1.0, 0.9, 0.7, 0.4, 0.2)
        assert any("0.75" in note for note in resolved.notes)
        assert resolved.source.strip() and resolved.source.isascii()


def test_a_file_without_a_polynomial_says_how_to_get_one(tmp_path):
    calibration = files.read(written(tmp_path / "a.safetensors", fitted=False))
    assert MagCacheChoice("fast", 0.1, 2, 0.2, calibration=calibration).resolve(known_as(SINGLE))
    with pytest.raises(StepCacheError) as refusal:
        TeaCacheChoice("fast", 0.1, calibration=calibration).resolve(known_as(SINGLE))
    for words in ("`coefficients`", "only 5 steps", "20 steps or more"):
        assert words in str(refusal.value)
