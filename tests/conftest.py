"""Paths for the whole suite: the pack's root last, so that the host's own modules win."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for folder in (ROOT, ROOT / "tests" / "support", ROOT / "tests" / "assets"):
    sys.path.append(str(folder))
