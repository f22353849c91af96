"""What the cache saves on a CUDA machine, at real sizes with random weights.

    python3 bench/gpu.py --comfyui PATH       bare Python with PyTorch and what ComfyUI requires
    python3 dev.py bench gpu                  in the environment that dev.py installs

On a machine without a network: of ComfyUI's source `comfy`, `comfy_api`, `comfy_config`,
`comfy_execution`, `comfy_extras`, `app`, `api_server`, `middleware`, `utils` and the files in its
root are enough; of packages beside torch: numpy, einops, safetensors, psutil, tqdm, PyYAML,
torchsde, trampoline, comfy-kitchen and comfy-aimdo, with --stand-ins for all others.

With random weights no quality can be told, and what a method measures means nothing. So schedules
are those that depend on sigmas alone (MagCache with its published curves, TaylorSeer), or have as
many computed steps as published (step_mask). Evaluations are timed with CUDA events; whole runs are
sampled where --budget allows, else calculated from timed evaluations, and labelled so.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a file: its own folder must not hide the standard library
    sys.path[0] = str(ROOT)

from devtools.errors import DevError  # noqa: E402
from devtools.progress import say  # noqa: E402

HOST_VARIABLES = ("COMFYUI_PATH", "WAN_STEP_CACHE_HOST")
BUDGET = 570.0
NO_CUDA = (
    "there is no CUDA device: run this on a machine with an NVIDIA GPU and a PyTorch built for "
    "CUDA (`python3 -c 'import torch; print(torch.cuda.is_available())'` has to print True), or "
    "try the script itself with `--device cpu --quick`."
)
NO_HOST = (
    "there is no ComfyUI at {}: give its folder with --comfyui PATH or COMFYUI_PATH (the one with "
    "main.py in it; a copy of its source without models and web pages will do)."
)
NO_PACKAGE = (
    "{name} cannot be imported: install what ComfyUI requires into this Python (`{python} -m pip "
    "install -r {host}/requirements.txt`); or without a network put a folder with this package "
    "into PYTHONPATH, and run with --stand-ins for those that sampling never uses."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("--comfyui", type=Path, help="ComfyUI's folder (default: COMFYUI_PATH)")
    parser.add_argument("--out", type=Path, default=Path("gpu-out"), help="default: gpu-out")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="a tiny model, to try the script")
    parser.add_argument("--models", nargs="+", metavar="NAME", help='such as "14B 832x480x81"')
    parser.add_argument(
        "--stand-ins", nargs="*", metavar="PACKAGE",
        help="do without packages that sampling never uses: all that are missing, or these",
    )  # fmt: skip
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for everything")
    parser.add_argument("--time-limit", type=float, help="seconds for a model at a resolution")


def main(arguments: Sequence[str] | None = None) -> int:
    """The benchmark."""
    parser = argparse.ArgumentParser(
        prog="bench gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        run(options)
    except DevError as error:
        say(f"bench gpu: {error}")
        return 1
    return 0


def run(options: argparse.Namespace) -> None:
    """Measures in a process that has the host."""
    host = host_folder(options.comfyui)
    require_device(options)
    os.environ["WAN_STEP_CACHE_HOST"] = str(host)
    if options.stand_ins is not None:
        from bench.stand_ins import stand_in  # noqa: PLC0415  (needed on bare machines only)

        options.stand_ins = stand_in(frozenset(options.stand_ins))
        say(f"Without {', '.join(options.stand_ins) or 'nothing'}.")
    with tempfile.TemporaryDirectory(prefix="wan-step-cache-bench-") as base:
        open_host_at(host, Path(base), options.device == "cpu")
        from bench.gpu_run import measure  # noqa: PLC0415  (needs the host)

        measure(options)


def host_folder(given: Path | None) -> Path:
    """The ComfyUI to use; DevError where there is none."""
    named = [given, *(os.environ.get(name) for name in HOST_VARIABLES)]
    place = next((Path(one).resolve() for one in named if one), None)
    if place is None or not (place / "comfy" / "ldm" / "wan").is_dir():
        raise DevError(NO_HOST.format(place or "any of the places named"))
    return place


def require_device(options: argparse.Namespace) -> None:
    """DevError without PyTorch or the device."""
    try:
        import torch  # noqa: PLC0415  (may be missing)
    except ModuleNotFoundError:
        raise DevError("PyTorch cannot be imported: install it for your CUDA first.") from None
    if options.device == "cpu" and not options.quick:
        raise DevError("real sizes take days on a CPU: add --quick.")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise DevError(NO_CUDA)


def open_host_at(host: Path, base: Path, cpu: bool) -> None:
    """The host and the pack in this process; DevError where a package is missing."""
    try:
        from bench.opening import open_host  # noqa: PLC0415  (imports torch)

        open_host(base, host, cpu)
    except ModuleNotFoundError as error:
        named = {"name": error.name, "python": sys.executable, "host": host}
        raise DevError(NO_PACKAGE.format(**named)) from None


if __name__ == "__main__":
    sys.exit(main())
