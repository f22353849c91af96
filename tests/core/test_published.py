"""What others published: the data files keep to their sources, and every model gets numbers."""

from itertools import pairwise
from math import prod

import numpy as np
import pytest

from cache_core import Identity, StepCacheError
from cache_core.magcache_presets import MagCacheChoice
from cache_core.published import published
from cache_core.teacache_presets import TeaCacheChoice
from cache_core.timetable import native_sigmas
from cache_core.variants import FAMILIES, PUBLISHED, variants_of

MAGCACHE, TEACACHE = published("magcache"), published("teacache")
PRESETS = ("quality", "balanced", "fast")


@pytest.mark.parametrize("entry", MAGCACHE.values(), ids=MAGCACHE.keys())
def test_curves_have_a_ratio_for_each_step_and_branch(entry):
    for branch in ("cond", "uncond"):
        row = entry[branch]
        assert len(row) == entry["steps"]
        assert row[0] == 1.0  # padding
        assert all(0.5 < ratio < 1.05 for ratio in row)
        assert all(round(ratio, 5) == ratio for ratio in row)
    assert max(abs(c - u) for c, u in zip(entry["cond"], entry["uncond"], strict=True)) < 0.01


FEATURES = {  # steps, smallest of cond and its step, largest, product from 20 % on, the last two
    "wan2.1_t2v_1.3B": (50, 0.81838, 49, 1.0124, 0.35238, [0.86821, 0.81838]),
    "wan2.1_t2v_14B": (50, 0.86111, 49, 1.02504, 0.36174, [0.8796, 0.86111]),
    "wan2.1_i2v_480p_14B": (40, 0.90955, 38, 1.0, 0.39668, [0.90955, 0.92617]),
    "wan2.1_i2v_720p_14B": (40, 0.8679, 39, 1.0, 0.40888, [0.89088, 0.8679]),
    "wan2.1_vace_1.3B": (50, 0.80141, 49, 1.00129, 0.43279, [0.87871, 0.80141]),
    "wan2.1_vace_14B": (50, 0.86111, 49, 1.02504, 0.36174, [0.8796, 0.86111]),
    "wan2.2_t2v_A14B": (40, 0.65523, 26, 1.00124, 0.29771, [0.88108, 0.80263]),
    "wan2.2_i2v_A14B": (40, 0.79823, 39, 1.0, 0.292, [0.8541, 0.79823]),
    "wan2.2_ti2v_5B_t2v": (50, 0.94583, 47, 1.0, 0.44351, [0.94843, 0.96949]),
    "wan2.2_ti2v_5B_i2v": (50, 0.93537, 48, 1.0, 0.42563, [0.93537, 0.96655]),
}
DIFFER = {  # the largest difference between the branches
    "wan2.1_t2v_1.3B": 0.00973, "wan2.1_t2v_14B": 0.00513, "wan2.1_i2v_480p_14B": 0.0021,
    "wan2.1_i2v_720p_14B": 0.0007, "wan2.1_vace_1.3B": 0.00063, "wan2.1_vace_14B": 0.00513,
    "wan2.2_t2v_A14B": 0.00271, "wan2.2_i2v_A14B": 0.00079, "wan2.2_ti2v_5B_t2v": 0.00129,
    "wan2.2_ti2v_5B_i2v": 0.00047,
}  # fmt: skip


def test_there_is_a_curve_for_all_that_were_published():
    assert set(MAGCACHE) == set(FEATURES) == set(DIFFER)


@pytest.mark.parametrize(("name", "features"), FEATURES.items())
def test_curves_have_their_known_features(name, features):
    entry, (steps, least, at, most, product, last) = MAGCACHE[name], features
    cond = entry["cond"]
    assert (len(cond), min(cond), cond.index(min(cond)), max(cond)) == (steps, least, at, most)
    assert cond[-2:] == last
    assert prod(cond[steps // 5 :]) == pytest.approx(product, abs=1e-5)
    differ = max(abs(c - u) for c, u in zip(cond, entry["uncond"], strict=True))
    assert differ == pytest.approx(DIFFER[name], abs=1e-9)


def test_the_curve_of_vace_14b_is_that_of_t2v_14b_and_said_to_be():
    for branch in ("cond", "uncond"):
        assert MAGCACHE["wan2.1_vace_14B"][branch] == MAGCACHE["wan2.1_t2v_14B"][branch]
    assert "T2V 14B" in MAGCACHE["wan2.1_vace_14B"]["presets"]["source"]


GRIDS = {  # steps and shift of Wan's own script for each
    "wan2.1_t2v_1.3B": (50, 5), "wan2.1_t2v_14B": (50, 5), "wan2.1_i2v_480p_14B": (40, 3),
    "wan2.1_i2v_720p_14B": (40, 5), "wan2.2_t2v_A14B": (40, 12), "wan2.2_i2v_A14B": (40, 5),
    "wan2.2_ti2v_5B": (50, 5), "wan2.2_ti2v_5B_t2v": (50, 5), "wan2.2_ti2v_5B_i2v": (50, 5),
}  # fmt: skip


@pytest.mark.parametrize("table", [MAGCACHE, TEACACHE], ids=["magcache", "teacache"])
def test_schedules_are_those_of_wans_own_script_and_fall(table):
    for name, entry in table.items():
        assert (entry["steps"], entry["shift"]) == GRIDS.get(name, (50, 16)), name
        sigmas = native_sigmas(entry["steps"], entry["shift"])
        assert all(before > after > 0 for before, after in pairwise(sigmas))


def test_pairs_know_where_their_boundary_is():
    pairs = {name: entry["high_noise_steps"] for name, entry in MAGCACHE.items() if "A14B" in name}
    assert pairs == {"wan2.2_t2v_A14B": 26, "wan2.2_i2v_A14B": 15}
    for name, boundary in (("wan2.2_t2v_A14B", 0.875), ("wan2.2_i2v_A14B", 0.9)):
        entry = MAGCACHE[name]
        sigmas = native_sigmas(entry["steps"], entry["shift"])
        assert sum(sigma >= boundary for sigma in sigmas) == entry["high_noise_steps"]
    others = [entry for name, entry in MAGCACHE.items() if "A14B" not in name]
    assert not any("high_noise_steps" in entry for entry in others)


ROOTS = {  # real roots between 0 and 0.6, value at 0
    ("wan2.1_t2v_1.3B", "e"): ([0.18491, 0.31046], 0.137887774),
    ("wan2.1_t2v_1.3B", "e0"): ([0.00431, 0.10192], -0.0499875664),
    ("wan2.1_t2v_14B", "e"): ([0.12958, 0.4061], -13.02252404),
    ("wan2.1_t2v_14B", "e0"): ([0.00768, 0.08163], -0.315583525),
    ("wan2.1_i2v_480p_14B", "e"): ([0.0568, 0.43649], -0.201973289),
    ("wan2.1_i2v_480p_14B", "e0"): ([], 0.132517977),
    ("wan2.1_i2v_720p_14B", "e"): ([0.05828, 0.39616], -0.23412683),
    ("wan2.1_i2v_720p_14B", "e0"): ([0.00267], -0.0417769401),
    ("wan2.2_ti2v_5B", "e"): ([0.05691, 0.20533, 0.2914], -4.81179567),
}


def test_polynomials_have_their_known_roots():
    known = {(name, signal) for name in TEACACHE for signal in ("e", "e0")}
    assert {key for key in known if key[1] in TEACACHE[key[0]]} == set(ROOTS)
    for (name, signal), (roots, at_0) in ROOTS.items():
        coefficients = TEACACHE[name][signal]["coefficients"]
        assert len(coefficients) == (6 if "5B" in name else 5)
        found = np.roots(coefficients)
        real = [r.real for r in found if abs(r.imag) < 1e-9 and 0 < r.real < 0.6]
        assert sorted(real) == pytest.approx(roots, abs=2e-5)
        assert np.polyval(coefficients, 0.0) == at_0


THRESHOLDS = {  # as published for speed, from slow to fast, ours in between
    ("wan2.1_t2v_1.3B", "e"): [0.05, 0.07, 0.08], ("wan2.1_t2v_14B", "e"): [0.14, 0.15, 0.2],
    ("wan2.1_i2v_480p_14B", "e"): [0.13, 0.19, 0.26],
    ("wan2.1_i2v_720p_14B", "e"): [0.18, 0.2, 0.3],
    ("wan2.1_t2v_1.3B", "e0"): [0.05, None, 0.1], ("wan2.1_t2v_14B", "e0"): [0.1, None, 0.2],
    ("wan2.1_i2v_480p_14B", "e0"): [0.2, None, 0.3],
    ("wan2.1_i2v_720p_14B", "e0"): [0.2, None, 0.3],
    ("wan2.2_ti2v_5B", "e"): [None, None, 0.26],
}  # fmt: skip


def test_thresholds_are_those_published_and_faster_is_larger():
    for (name, signal), expected in THRESHOLDS.items():
        presets = TEACACHE[name][signal]["presets"]
        values = [presets[preset] for preset in PRESETS]
        assert values == sorted(set(values))
        for value, known in zip(values, expected, strict=True):
            assert known in (None, value)
        if None in expected:
            assert any(word in presets["source"] for word in ("between", "ours"))


EKR = {  # curve, preset: E, K, R as published
    ("wan2.1_t2v_1.3B", "quality"): [0.06, 2, 0.2], ("wan2.1_t2v_1.3B", "balanced"): [0.12, 2, 0.2],
    ("wan2.1_t2v_1.3B", "fast"): [0.12, 4, 0.2], ("wan2.1_t2v_14B", "balanced"): [0.12, 4, 0.2],
    ("wan2.1_t2v_14B", "fast"): [0.24, 6, 0.2], ("wan2.1_i2v_480p_14B", "fast"): [0.24, 6, 0.2],
    ("wan2.1_i2v_480p_14B", "balanced"): [0.12, 4, 0.2],
    ("wan2.1_i2v_720p_14B", "fast"): [0.24, 6, 0.2],
    ("wan2.1_i2v_720p_14B", "balanced"): [0.12, 4, 0.2],
    ("wan2.1_vace_1.3B", "balanced"): [0.02, 3, 0.2],
    ("wan2.1_vace_14B", "balanced"): [0.02, 3, 0.2],
    ("wan2.2_t2v_A14B", "quality"): [0.06, 2, 0.4],
    ("wan2.2_t2v_A14B", "balanced"): [0.04, 2, 0.2],
    ("wan2.2_i2v_A14B", "quality"): [0.06, 2, 0.1],
    ("wan2.2_i2v_A14B", "balanced"): [0.06, 2, 0.2],
    ("wan2.2_ti2v_5B_t2v", "balanced"): [0.06, 2, 0.2],
    ("wan2.2_ti2v_5B_i2v", "balanced"): [0.06, 2, 0.2],
}  # fmt: skip


def test_errors_skips_and_retention_are_those_published():
    for (name, preset), numbers in EKR.items():
        assert MAGCACHE[name]["presets"][preset] == numbers
    for entry in MAGCACHE.values():
        for error, most, retention in (entry["presets"][preset] for preset in PRESETS):
            assert 0 < error < 1 and most >= 1 and 0 < retention <= 1


@pytest.mark.parametrize("table", [MAGCACHE, TEACACHE], ids=["magcache", "teacache"])
def test_every_number_has_a_source(table):
    for entry in table.values():
        assert "/" in entry["data"] and entry["data"].isascii()
        rows = [entry, *(entry[signal] for signal in ("e", "e0") if signal in entry)]
        sources = [row["presets"]["source"] for row in rows if "presets" in row]
        assert sources and all(source.strip() and source.isascii() for source in sources)


# Presets for every model there is


SHAPED = {  # family -> size, the host's model type
    "wan2.1_t2v_1.3B": ("1.3B", "t2v"), "wan2.1_t2v_14B": ("14B", "t2v"),
    "wan2.1_i2v_480p_14B": ("14B", "i2v"), "wan2.1_i2v_720p_14B": ("14B", "i2v"),
    "wan2.1_flf2v_14B": ("14B", "i2v"), "wan2.1_vace_1.3B": ("1.3B", "vace"),
    "wan2.1_vace_14B": ("14B", "vace"), "wan2.2_ti2v_5B": ("5B", "t2v"),
    "wan2.2_t2v_A14B": ("14B", "t2v"), "wan2.2_i2v_A14B": ("14B", "t2v"),
}  # fmt: skip
LENDERS = {  # family -> whose polynomial it borrows
    "wan2.1_flf2v_14B": "wan2.1_i2v_720p_14B", "wan2.1_vace_1.3B": "wan2.1_t2v_1.3B",
    "wan2.1_vace_14B": "wan2.1_t2v_14B", "wan2.2_t2v_A14B": "wan2.1_t2v_14B",
    "wan2.2_i2v_A14B": "wan2.1_i2v_720p_14B",
}  # fmt: skip
MODELS = [Identity(*SHAPED[variant.family], 5120, 40, (variant,)) for variant in PUBLISHED.values()]
EVERY_MODEL = pytest.mark.parametrize("model", MODELS, ids=list(PUBLISHED))
EVERY_PRESET = pytest.mark.parametrize("preset", PRESETS)


def told(method):
    """Everything a user reads of where the numbers are from."""
    return "; ".join([method.source, *method.notes])


def test_the_shapes_here_are_all_families():
    assert set(SHAPED) == set(FAMILIES)


@EVERY_PRESET
@EVERY_MODEL
@pytest.mark.parametrize("use_ret_steps", [True, False])
def test_teacache_has_numbers_for_every_model(model, preset, use_ret_steps):
    method = TeaCacheChoice(preset, 9.0, use_ret_steps).resolve(model)
    family = model.variant.family
    lender = LENDERS.get(family)
    entry = TEACACHE[lender or family]
    signal = "e0" if use_ret_steps and "e0" in entry else "e"
    assert method.policy.signal == signal
    assert method.policy.threshold == entry[signal]["presets"][preset]
    assert method.policy.fit.coefficients == tuple(entry[signal]["coefficients"])
    assert method.policy.fit.sigmas == native_sigmas(entry["steps"], entry["shift"])
    assert method.source.strip() and told(method).isascii()
    assert ("borrowed" in told(method)) == (lender is not None)
    assert lender is None or lender in told(method)


@EVERY_PRESET
@EVERY_MODEL
def test_magcache_has_numbers_for_every_model(model, preset):
    method = MagCacheChoice(preset, 9.0, 99, 0.9).resolve(model)
    family = model.variant.family
    lender = "wan2.1_i2v_720p_14B" if family == "wan2.1_flf2v_14B" else None
    name = {"wan2.2_ti2v_5B": "wan2.2_ti2v_5B_t2v"}.get(family, lender or family)
    error, most, _ = MAGCACHE[name]["presets"][preset]
    assert (method.policy.threshold, method.policy.most_skips) == (error, most)
    assert len(method.policy.curve.ratios) == 2
    assert {len(row) for row in method.policy.curve.ratios} == {len(method.policy.curve.sigmas)}
    assert method.source.strip() and told(method).isascii()
    assert ("borrowed" in told(method)) == (lender is not None)
    assert name in told(method)


OTHERS = [  # kind, size -> whose numbers these have
    ("camera", "14B", "wan2.1_i2v_720p_14B"), ("s2v", "14B", "wan2.1_i2v_720p_14B"),
    ("animate", "14B", "wan2.1_i2v_720p_14B"), ("i2v", "1.3B", "wan2.1_t2v_1.3B"),
    ("camera", "5B", "wan2.2_ti2v_5B"), ("vace", "5B", "wan2.2_ti2v_5B"),
]  # fmt: skip


@EVERY_PRESET
@pytest.mark.parametrize(("kind", "size", "lender"), OTHERS)
def test_models_nobody_published_numbers_for_borrow_them_and_say_so(kind, size, lender, preset):
    model = Identity(size, kind, 5120, 40, variants_of(kind, size, 99, False))
    for choice in (TeaCacheChoice(preset, 9.0), MagCacheChoice(preset, 9.0, 99, 0.9)):
        words = told(choice.resolve(model))
        assert "borrowed" in words and lender in words


@EVERY_PRESET
def test_models_of_unknown_size_have_no_curve_and_are_told_the_remedy(preset):
    model = Identity("other", "t2v", 192, 6, variants_of("t2v", "other", 16, False))
    with pytest.raises(StepCacheError) as refusal:
        MagCacheChoice(preset, 0.1, 2, 0.2).resolve(model)
    for words in ("`calibration` is 'auto'", "Wan T2V other", "MagCache Calibrate"):
        assert words in str(refusal.value)
    chosen = MagCacheChoice(preset, 0.1, 2, 0.2, curve="wan2.1_t2v_1.3B").resolve(model)
    assert len(chosen.policy.curve.sigmas) == 50
    raw = TeaCacheChoice(preset, 9.0).resolve(model)
    assert raw.policy.fit is None and raw.policy.threshold < 1


def test_faster_presets_of_every_model_reuse_no_less():
    for model in MODELS:
        for choice in (lambda p: TeaCacheChoice(p, 9.0), lambda p: MagCacheChoice(p, 9.0, 99, 0.9)):
            thresholds = [choice(p).resolve(model).policy.threshold for p in ("quality", "fast")]
            assert thresholds[0] < thresholds[1]
