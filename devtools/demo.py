"""The main job, end to end: the same renders over HTTP without and with the cache.

Runs inside the environment (`dev.py demo` starts it).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from . import pictures
from .child import INTERRUPTED, exit_on_terminate
from .demo_report import measure, table
from .errors import DevError
from .progress import say
from .render import Clip, Renderer
from .server import ComfyServer

JOBS = (
    ("blue square slow", 22),
    ("red disc fast", 11),
    ("yellow triangle fast", 33),
    ("green cross slow", 44),
)
WARM_UP_STEPS = 2
TAKES = 2


def render_all(server: ComfyServer) -> list[tuple[Clip, Clip]]:
    """Every job without and with the cache, after a short warm-up of each."""
    renderer = Renderer(server)
    for cached in (False, True):
        renderer.render("white cross", 1, cached=cached, steps=WARM_UP_STEPS)
    pairs = []
    for text, seed in JOBS:
        pair = best_pair(renderer, text, seed)
        say(f"  {text}: {pair[0].seconds:.2f} s without, {pair[1].seconds:.2f} s with the cache")
        pairs.append(pair)
    return pairs


def best_pair(renderer: Renderer, text: str, seed: int) -> tuple[Clip, Clip]:
    """A clip without and with the cache, in turn, each at the best of a few times.

    A space more in the text makes the host render again instead of answering from memory.
    """
    takes = [
        [renderer.render(text + " " * take, seed, cached=cached) for cached in (False, True)]
        for take in range(TAKES)
    ]
    uncached, cached = (
        min(clips, key=lambda clip: clip.seconds) for clips in zip(*takes, strict=True)
    )
    return uncached, cached


def make_folder(out: Path) -> None:
    """Makes the folder for the results, before anything is rendered for it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DevError(f"--out {out} cannot be made a folder: {error.strerror}.") from None


def write_results(out: Path, pairs: Sequence[tuple[Clip, Clip]], version: str) -> None:
    """The clips, the pictures and the report."""
    uncached, cached = pairs[0]
    (out / "uncached.webp").write_bytes(uncached.data)
    (out / "cached.webp").write_bytes(cached.data)
    clips = [(pictures.frames(a.data), pictures.frames(b.data)) for a, b in pairs]
    report = measure(JOBS, pairs, clips, version)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "timeline.png").write_bytes(cached.timeline)
    pictures.compare(out / "compare.png", *clips[0], title=f'"{JOBS[0][0]}"')
    print(table(report))


def summary_line(log: str) -> str:
    """The newest line in which the pack sums up a sampling."""
    mark = "Wan Step Cache: "
    lines = [mark + line.split(mark)[1] for line in log.splitlines() if mark in line]
    return lines[-1] if lines else "nothing"


def main(arguments: Sequence[str] | None = None) -> int:
    """The demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args(arguments).out
    say("Starting ComfyUI ...")
    exit_on_terminate()
    try:
        make_folder(out)
        with ComfyServer() as server:
            version = server.system_stats()["system"]["comfyui_version"]
            say(f"ComfyUI {version} is up; rendering {len(JOBS)} clips twice ...")
            pairs = render_all(server)
            said = summary_line(server.log_text())
        write_results(out, pairs, version)
        print(f"\nWhat ComfyUI's console said about the last one:\n{said}")
    except DevError as error:
        say(f"dev.py: {error}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    print(f"\nLook at {out}: compare.png, timeline.png, uncached.webp, cached.webp, report.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
