"""Context windows: each keeps values of its own, no more are kept than two evaluations have, and
where windows that move leave little to reuse the log says so.
"""

import logging
from importlib import import_module
from itertools import pairwise

import pytest
from turns import LEVELS, MATRIX, METHODS, in_turn

STAY, MOVE = ("standard_static", "batched"), ("standard_uniform", "looped_uniform")
FUSES = ("pyramid", "relative", "flat", "overlap-linear")
STEPS = 8


@pytest.fixture
def windows(host):
    return import_module("windowed")


@pytest.fixture
def prove(passes, windows, caching, traces):
    """Checks one kind of windows at a level with a method; gives what a sampling passed."""

    def prove(windowed, method, level, steps=STEPS, **more):
        more = {"size": windows.SIZE, **more}
        seen = passes.assert_composes(windowed, method, level, steps, **more)
        assert all(len(of) > 1 for of in windows.windows_in(seen))
        assert traces[-1].failsafes() == {}
        return seen

    return prove


@pytest.mark.parametrize("schedule, level, method", in_turn(STAY))
def test_windows_that_stay_are_reused(model, windows, prove, schedule, level, method, traces, tell):
    fuse = FUSES[STAY.index(schedule)]
    seen = prove(windows.windowed(model, schedule, fuse), method, level)
    assert seen.computed == [6, 0] * (STEPS // 2)
    assert traces[-1].notes == []
    tell("Neighbours", f"Context windows: {schedule}", result="identical", reuse="yes")


@pytest.mark.parametrize("schedule, level, method", in_turn(MOVE))
def test_windows_that_move_reuse_what_stays_and_say_so(
    model, windows, prove, schedule, level, method, traces, caplog, tell
):
    fuse = FUSES[2 + MOVE.index(schedule)]
    with caplog.at_level(logging.INFO):
        seen = prove(windows.windowed(model, schedule, fuse), method, level)
    frames = windows.windows_in(seen)
    assert len(set(map(frozenset, frames))) > 2
    for evaluation, (before, now) in enumerate(pairwise(frames), 1):
        rows = seen.of(evaluation)
        assert all(row.computed for row in rows if windows.frames_of(row) not in before)
        assert any(window in now for window in before) or seen.computed[evaluation] == len(rows)
    said = [record.message for record in caplog.records if "context windows move" in record.message]
    assert all("standard_static" in message for message in said)
    warned = [r for r in caplog.records if r.levelname == "WARNING" and r.message in said]
    assert len(warned) == len(traces) and len(said) > len(warned)
    reuse = "windows that stay, and says so"
    tell("Neighbours", f"Context windows: {schedule}", result="identical", reuse=reuse)


SETTINGS = {
    "freenoise": ("standard_static", {"freenoise": True}),
    "closed loop": ("looped_uniform", {"closed_loop": True}),
    "stride": ("standard_uniform", {"context_stride": 2}),
    "looped stride": ("looped_uniform", {"context_stride": 2, "closed_loop": True}),
    "no causal fix": ("standard_static", {"causal_window_fix": False}),
    "retained latent": ("standard_static", {"latent_retain_index_list": "0"}),
    "along the height": ("standard_static", {"dim": 3, "context_length": 2}),
    "no overlap": ("standard_static", {"context_overlap": 0}),
}


@pytest.mark.parametrize("setting, level, method", in_turn(SETTINGS))
def test_settings_of_windows(model, windows, prove, setting, level, method, tell):
    schedule, settings = SETTINGS[setting]
    prove(windows.windowed(model, schedule, **settings), method, level)
    tell("Neighbours", f"Context windows: {setting}", result="identical", reuse="yes")


@MATRIX
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("fuse", FUSES)
@pytest.mark.parametrize("schedule", [*STAY, *MOVE])
def test_every_schedule_with_every_way_to_fuse(
    model, windows, prove, schedule, fuse, level, method
):
    prove(windows.windowed(model, schedule, fuse), method, level)


@pytest.mark.every_host
@pytest.mark.parametrize("level", LEVELS)
def test_the_node_for_wan(model, windows, prove, level, tell):
    static = windows.wan_windowed(model, "standard_static")
    assert prove(static, "FBCache", level).computed[1::2] == [0] * (STEPS // 2)
    prove(windows.wan_windowed(model, "standard_uniform"), "TeaCache", level)
    tell("Neighbours", "Context windows: the node for Wan", result="identical", reuse="yes")


@pytest.mark.parametrize("level", LEVELS)
def test_prompts_split_over_windows(model, windows, prove, prompts, level, tell):
    split = windows.windowed(model, split_conds_to_windows=True)
    seen = prove(split, "TeaCache", level, positive=prompts.combined())
    assert seen.computed == [6, 0] * (STEPS // 2)
    assert len({row.whose[0] for row in seen.rows if row.whose[1] == 0}) == 2
    tell("Neighbours", "Context windows: prompts split", result="identical", reuse="yes")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("retained", ["", "0"], ids=["sliced", "first frame retained"])
def test_images_that_windows_slice(wan, windows, prove, retained, level, tell):
    """An image-to-video Wan: its image and mask go into the model as channels, by frame."""
    i2v = wan.random_wan(model_type="i2v", in_dim=36)
    image = {"concat_latent_image": (1, 16, *windows.SIZE), "concat_mask": (1, 1, *windows.SIZE)}
    prompt = wan.conditioning(1, **image)
    windowed = windows.windowed(i2v, cond_retain_index_list=retained)
    seen = prove(windowed, "FBCache", level, positive=prompt, negative=prompt)
    assert seen.computed == [6, 0] * (STEPS // 2)
    tell("Neighbours", "Context windows: image to video", result="identical", reuse="yes")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("schedule", MOVE)
def test_no_more_is_kept_than_the_windows_of_two_evaluations(
    wan, model, passes, windows, traces, schedule, level, tell
):
    """However many windows a long video has in a long run."""
    size = (25, 4, 4)
    with passes.followed(windows.windowed(model, schedule)) as (clone, seen):
        wan.sample(passes.holding("TeaCache", clone, level), 24, size=size)
    frames = windows.windows_in(seen)
    most = max(bytes_of(before | now, level) for before, now in pairwise(frames))
    assert most // 2 < traces[0].peak_bytes <= most
    assert bytes_of(set().union(*frames), level) > 1.4 * most
    tell("Neighbours", f"Context windows: {schedule}", memory="of two steps' windows")


def bytes_of(windows, level):
    """Bytes that both branches of these windows keep, the frame before a window included."""
    of_a_frame = 16 * 4 * 4 if level == "output" else 2 * 2 * 128
    return sum(len([f for f in window if f is not None]) * of_a_frame * 2 * 4 for window in windows)


@pytest.mark.parametrize("schedule", [*STAY, *MOVE])
def test_cfg_cache_has_a_difference_for_each_window(
    model, windows, guiding, traces, schedule, tell
):
    windowed = windows.windowed(model, schedule)
    seen = guiding.assert_uncond_is_made_of_cond(windowed, 13, size=windows.SIZE)
    if schedule in STAY:
        assert seen.computed == [6, 3, 3] * 4 + [6]
    else:
        frames = windows.windows_in(seen)
        most = max(bytes_of(before | now, "output") for before, now in pairwise(frames))
        assert traces[0].peak_bytes <= most // 2  # one difference for two branches
        assert sum(seen.computed) < len(frames) * 6
    assert traces[0].failsafes() == {}
    tell("Neighbours", f"Context windows: {schedule}", cfg_cache="yes, of windows that stay")
