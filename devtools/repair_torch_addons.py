"""Makes torchvision and torchaudio importable next to a CPU build of torch.

Their only builds on the package index load CUDA libraries, which a CPU build of torch lacks.
Runs inside a new environment and changes nothing where the plain imports work.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

DECLARE = """\
import torch as _torch

_missing = _torch.library.Library("torchvision", "DEF")
_missing.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_missing.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

"""


def imports(name: str) -> bool:
    """Whether a fresh interpreter can import this package."""
    command = [sys.executable, "-c", f"import {name}"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def folder_of(name: str) -> Path:
    """Where the package is installed."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"ERROR: {name} is not installed")
    return Path(spec.origin).parent


def declare_vision_operators() -> None:
    """Declares the operators that torchvision's Python parts refer to; its library would."""
    source = folder_of("torchvision") / "__init__.py"
    source.write_text(DECLARE + source.read_text(encoding="utf-8"), encoding="utf-8")


def set_audio_library_aside() -> None:
    """torchaudio does without its library when the file is not there."""
    for library in (folder_of("torchaudio") / "lib").glob("_torchaudio*"):
        library.rename(library.with_name(f"unused{library.name}"))


def main() -> None:
    """Repairs what does not import, and makes sure that it then does."""
    for name, repair in (
        ("torchvision", declare_vision_operators),
        ("torchaudio", set_audio_library_aside),
    ):
        if not imports(name):
            repair()
            if not imports(name):
                raise SystemExit(f"ERROR: {name} cannot be imported with this torch")


if __name__ == "__main__":
    main()
