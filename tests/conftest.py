"""For the whole suite: paths, the pack's root last so that the host's own modules win; `tell`."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
for folder in (ROOT, ROOT / "tests" / "support", ROOT / "tests" / "assets"):
    sys.path.append(str(folder))


@pytest.fixture
def tell(record_property):
    """``tell(table, row, **cells)``: what docs/compatibility.md says if the test passes."""
    return lambda table, row, **cells: record_property(
        "compatibility", json.dumps([table, row, cells])
    )
