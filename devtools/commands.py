"""Develop, test and try the pack with a real ComfyUI that is installed by itself.

COMFYUI_PATH: use the ComfyUI in this folder instead, with its own Python (COMFYUI_PYTHON).
WAN_STEP_CACHE_DEV_HOME: where everything is installed (default: the user's cache folder).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from . import checks, child, environment, hosts, matrix, other_hosts, serve
from .errors import DevError
from .progress import say

Command = Callable[[argparse.Namespace], int]
BENCHMARKS = {
    "quality": "bench.quality",
    "page": "bench.quality_page",
    "cost": "bench.cost",
    "gpu": "bench.gpu",
    "peers": "bench.peers",
}
"""Modules that run inside the environment, with what else the command line says."""

MEASURED = (
    "quality: how much of it every method costs, by how much it saves; page: its page and picture "
    "anew; cost: what the pack itself takes; gpu: published settings at real sizes on CUDA; peers: "
    "the same clips by ComfyUI's own caches and other packs"
)

TAKE_MORE = ("test", "bench")
"""Commands whose other arguments are for what they run."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="dev.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = _command(commands, "demo", demo_command, "render without and with the cache")
    demo.add_argument("--out", type=Path, default=Path("demo-out"), help="default: demo-out")
    _command(commands, "test", test_command, "lint, type check and tests; or: test PYTEST_ARGS")
    whole = _command(commands, "matrix", matrix_command, "every combination on every ComfyUI")
    whole.add_argument("--again", action="store_true", help="only what failed the last time")
    by_hand = _command(commands, "serve", serve_command, "open ComfyUI in the browser")
    by_hand.add_argument("--port", type=int, default=serve.DEFAULT_PORT)
    text = "measure; or: bench quality --help"
    measure = _command(commands, "bench", bench_command, text, not names_benchmark(sys.argv))
    measure.add_argument("what", choices=BENCHMARKS, help=MEASURED)
    measure.add_argument("--out", type=Path, help="default: in the checkout")
    env = _command(commands, "env", env_command, "print where the environment is")
    env.add_argument("--json", action="store_true", help="as one JSON object")
    return top


def names_benchmark(words: Iterable[str]) -> bool:
    """Whether a benchmark is named: then --help is for the benchmark."""
    return not BENCHMARKS.keys().isdisjoint(words)


def _command(
    commands: Any, name: str, run: Command, text: str, add_help: bool = True
) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, allow_abbrev=False, add_help=add_help
    )
    versions = ", ".join(hosts.HOSTS)
    made.add_argument("--comfyui", metavar="VERSION", help=f"{versions} (default {hosts.DEFAULT})")
    made.set_defaults(run=run)
    return made


def demo_command(options: argparse.Namespace) -> int:
    """Runs the demo inside the environment."""
    found = environment.prepare(options.comfyui)
    command = [str(found.python), "-m", "devtools.demo", "--out", str(options.out.resolve())]
    return child.call(command, found.variables())


def test_command(options: argparse.Namespace) -> int:
    """Lint, types and tests; where no host and no tests are named, the short ones on every host."""
    found = environment.prepare(options.comfyui)
    if options.rest or options.comfyui or "COMFYUI_PATH" in os.environ:
        return checks.run_all(found, options.rest)
    return other_hosts.beside(lambda: checks.run_all(found, []))


def matrix_command(options: argparse.Namespace) -> int:
    """Every combination on every host, and docs/compatibility.md."""
    if options.comfyui or "COMFYUI_PATH" in os.environ:
        raise DevError("matrix runs on every ComfyUI it knows: leave out --comfyui, COMFYUI_PATH.")
    return matrix.run_again() if options.again else matrix.run(environment.prepare())


def serve_command(options: argparse.Namespace) -> int:
    """ComfyUI by hand."""
    serve.require_port(options.port)
    return serve.serve(environment.prepare(options.comfyui), options.port)


def bench_command(options: argparse.Namespace) -> int:
    """Runs a benchmark inside the environment."""
    found = environment.prepare(options.comfyui)
    out = ["--out", str(options.out.resolve())] if options.out else []
    command = [str(found.python), "-m", BENCHMARKS[options.what], *out, *options.rest]
    return child.call(command, found.variables())


def env_command(options: argparse.Namespace) -> int:
    """Prints where the environment is."""
    found = environment.prepare(options.comfyui).described()
    if options.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name}: {value}" for name, value in found.items()))
    return 0


def read_arguments() -> argparse.Namespace:
    """The command line; what `test` does not know is for pytest, what `bench` for the benchmark."""
    top = parser()
    options, rest = top.parse_known_args()
    if rest and options.command not in TAKE_MORE:
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    return options


def main() -> int:
    """Runs one command and gives the exit status."""
    child.exit_on_terminate()
    options = read_arguments()
    try:
        run: Command = options.run
        return run(options)
    except DevError as error:
        say(f"dev.py: {error}")
        return 1
    except KeyboardInterrupt:
        say("dev.py: interrupted.")
        return child.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
