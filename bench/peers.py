"""This pack beside ComfyUI's own caches and other packs: `python3 dev.py bench peers`.

Runs inside the environment. Every pack renders the same clips in a real ComfyUI of its own, over
HTTP. Writes peers.json, and from it the page.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from devtools.errors import DevError
from devtools.paths import ROOT
from devtools.progress import say

from . import peer_loading, peer_page, results
from .command import command
from .commit import commit
from .peer_found import Pack, methods, own, peer, require_methods
from .peer_rows import measured, uncached
from .peer_server import RenderFailed, Rig, plain
from .peer_yard import FULL, QUICK, Size, Yard
from .quality import positive
from .scenario import SCHEDULER, SHIFT

Json = dict[str, Any]
FORMAT = 1
FILE = "peers.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("--out", type=Path, help="folder for all results (default: in place)")
    parser.add_argument(
        "--peer", type=Path, action="append", default=[], metavar="PATH",
        help="the folder of another pack; may be given several times",
    )  # fmt: skip
    parser.add_argument("--only", nargs="+", metavar="NODE", help="only these lines of the tables")
    parser.add_argument("--limit", type=positive, help="so many prompts only")
    parser.add_argument("--quick", action="store_true", help="one short clip, all in one server")
    parser.add_argument(
        "--loads", action="store_true", help="only what loads, added to results of another ComfyUI"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The benchmark."""
    parser = argparse.ArgumentParser(prog="dev.py bench peers", description=__doc__)
    add_arguments(parser)
    return command(parser, run, arguments)


def run(options: argparse.Namespace) -> None:
    """Measures all packs, or adds to what was measured."""
    packs = [*own(), *map(peer, options.peer)]
    file, page = places(options.out)
    if options.loads:
        write(peer_loading.add(file, packs), file, page)
    else:
        measure(options, packs, file, page)
    say(f"Look at {file} and {page}.")


def measure(options: argparse.Namespace, packs: Sequence[Pack], file: Path, page: Path) -> None:
    """Measures pack by pack, and writes the file and the page after each."""
    require_methods(options.only or (), packs)
    size = QUICK if options.quick else FULL
    size = replace(size, prompts=size.prompts[: options.limit])
    found = {**introduction(size, options.quick), "packs": []}
    for together in [packs] if options.quick else [[pack] for pack in packs]:
        found["packs"] += side_by_side(together, size, options.only)
        write(found, file, page)


def write(found: Json, file: Path, page: Path) -> None:
    """The file, and from it the page."""
    results.write(file, found)
    page.write_text(peer_page.text(found), encoding="ascii")


def places(out: Path | None) -> tuple[Path, Path]:
    """The file and the page, in place or in a folder."""
    if out is None:
        return ROOT / "bench" / "results" / FILE, ROOT / "docs" / "peers.md"
    folder = out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder / FILE, folder / "peers.md"


def introduction(size: Size, quick: bool) -> Json:
    """What, where and how."""
    return {
        "format": FORMAT,
        "date": results.today(),
        "commit": commit(),
        "machine": results.machine(),
        "versions": results.versions(),
        "settings": {
            "quick": quick,
            "prompts": [list(prompt) for prompt in size.prompts],
            "steps": size.steps,
            "sampler": "euler",
            "scheduler": SCHEDULER,
            "shift": SHIFT,
            "cfg": 5.0,
            "vace_steps": size.vace_steps,
        },
    }


def side_by_side(packs: Sequence[Pack], size: Size, only: Sequence[str] | None) -> list[Json]:
    """The results of packs that share a server; where it cannot start, the reason."""
    placed = {name: path for pack in packs for name, path in pack.placed.items()}
    try:
        with Rig(placed) as rig:
            yard = Yard.opened(rig, size)
            return [pack_results(pack, yard, only) for pack in packs]
    except (DevError, RenderFailed) as error:
        say(f"{', '.join(pack.name for pack in packs)}: {error}")
        return [{**named(pack), "error": plain(str(error)), "methods": []} for pack in packs]


def pack_results(pack: Pack, yard: Yard, only: Sequence[str] | None) -> Json:
    """What happened with one pack."""
    error = yard.rig.complaint(pack.folder[0]) if pack.folder else None
    tried = [m for m in methods(pack, yard.rig) if not only or m.name in only]
    if not tried and not only:
        error = error or "no node takes a model and gives one"
    found = {**named(pack), "error": error, "uncached": uncached(yard), "methods": []}
    say(f"{pack.name}: {error or f'{len(tried)} methods'}")
    for method in tried:
        found["methods"].append(measured(yard, method))
        say(peer_page.told(found["methods"][-1]))
    return found


def named(pack: Pack) -> Json:
    """Which pack it is."""
    folder = pack.folder[0] if pack.folder else None
    return {"pack": pack.name, "folder": folder, "version": pack.version, "commit": pack.commit}


if __name__ == "__main__":
    sys.exit(main())
