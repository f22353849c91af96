"""Context windows of the host's nodes on a model, and what they see.

Import it only after the host (fixture ``host``).
"""

import pytest
from comfy_extras.nodes_context_windows import ContextWindowsManualNode, WanContextWindowsManualNode

FRAMES, LENGTH, OVERLAP = 9, 4, 1
SIZE = (FRAMES, 4, 4)
"""Of the latent: frames, height, width; LENGTH of the frames at a time."""


def windowed(model, schedule="standard_static", fuse="pyramid", **settings):
    """The model behind the host's general node, along the frames."""
    lacking = settings.keys() - {one.id for one in ContextWindowsManualNode.define_schema().inputs}
    if lacking:
        pytest.skip(f"this ComfyUI's context windows have no {', '.join(lacking)}")
    chosen = {
        "context_length": LENGTH, "context_overlap": OVERLAP, "context_schedule": schedule,
        "context_stride": 1, "closed_loop": False, "fuse_method": fuse, "dim": 2,
        "freenoise": False,
    }  # fmt: skip
    return ContextWindowsManualNode.execute(model, **{**chosen, **settings}).args[0]


def wan_windowed(model, schedule, **settings):
    """The model behind the node for Wan, which counts frames of the video."""
    return WanContextWindowsManualNode.execute(
        model, context_length=13, context_overlap=4, context_schedule=schedule, context_stride=1,
        closed_loop=False, fuse_method="pyramid", freenoise=False, **settings,
    ).args[0]  # fmt: skip


def frames_of(row):
    """The frames of a row's window; see ``passes.Row``."""
    return row.whose[3]


def windows_in(passes):
    """The windows of each evaluation."""
    return [
        {frames_of(row) for row in passes.of(evaluation)}
        for evaluation in range(passes.evaluation + 1)
    ]
