"""The benchmarks compare the very clips that a user would see."""

import os
import subprocess
import sys

import numpy as np
import pytest
from checkout import ROOT
from graph import plain, render

pytestmark = pytest.mark.server
TEXT, SEED, STEPS = "red disc fast", 11, 6
SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from bench.scenario import Scenario
from bench.workbench import open_workbench
bench = open_workbench(Path(sys.argv[1]), calibrated=False)
scenario = Scenario({steps}, "euler", 5.0)
models = [stage.model for stage in bench.of(scenario)]
clip = bench.sample(models, scenario, ("{text}", {seed}))
np.save(sys.argv[2], clip.frames.numpy())
"""


def test_an_uncached_clip_is_that_of_the_server(server, tmp_path):
    script = SCRIPT.format(text=TEXT, seed=SEED, steps=STEPS)
    command = [sys.executable, "-c", script, tmp_path, tmp_path / "clip.npy"]
    subprocess.run(command, cwd=ROOT, env=os.environ, check=True, capture_output=True)
    clip = np.load(tmp_path / "clip.npy")
    shown, _ = render(server, plain(TEXT, SEED, STEPS))
    assert clip.shape == shown.shape
    assert np.abs(clip * 255 - shown.astype(float)).max() < 1.01
