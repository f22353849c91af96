"""What the README says about numbers is what the code does."""

from pathlib import Path

import pytest

from cache_core.fbcache_presets import FBCACHE

ROOT = Path(__file__).resolve().parents[2]
SHOWN = [("residual_rel_l1", size, row) for size, row in FBCACHE["residual_rel_l1"].items()] + [
    ("hidden_rel_l1", size, FBCACHE["hidden_rel_l1"][size]) for size in ("14B", "1.3B")
]


@pytest.mark.parametrize(("metric", "size", "row"), SHOWN)
def test_the_readme_shows_the_thresholds_in_force(metric, size, row):
    numbers = f"{row.quality} | {row.balanced} | {row.fast} | {row.source}"
    assert f"| {size} | `{metric}` | {numbers} |" in (ROOT / "README.md").read_text()
