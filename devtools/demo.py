"""The main job, end to end: the same renders over HTTP without and with the cache.

Runs inside the environment (`dev.py demo` starts it).
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import pictures
from .child import INTERRUPTED, exit_on_terminate
from .client import Json
from .demo_report import measure, table
from .demo_workflow import SAMPLER, SAVE, STEPS, workflow
from .errors import DevError
from .events import EventReader
from .progress import say
from .server import ComfyServer

JOBS = (
    ("red disc right fast", 11),
    ("blue square down slow", 22),
    ("yellow triangle left fast", 33),
    ("green ring up slow", 44),
)
WARM_UP_STEPS = 2
TAKES = 2


@dataclass(frozen=True)
class Clip:
    """One render: the file as written, the time of its sampler, and its trace if cached."""

    data: bytes
    seconds: float
    trace: Json | None


class Renderer:
    """Runs the demo's workflow on a server and times the sampler by the host's messages."""

    def __init__(self, server: ComfyServer) -> None:
        self.server = server
        self.client_id = uuid.uuid4().hex

    def render(self, text: str, seed: int, *, cached: bool, steps: int = STEPS) -> Clip:
        """One clip."""
        prompt = workflow(self.server, text, seed, cached=cached, steps=steps)
        with EventReader(self.server.url, self.client_id) as events:
            prompt_id = self.server.queue(prompt, self.client_id)
            outputs = self.server.wait(prompt_id)["outputs"]
            events.wait_for_end(prompt_id)
            seconds = events.node_seconds(prompt_id)[SAMPLER]
        data = self.server.view(**outputs[SAVE]["images"][0])
        return Clip(data, seconds, read_trace(self.server, prompt_id) if cached else None)


def read_trace(server: ComfyServer, prompt_id: str) -> Json:
    """The trace that the pack wrote for this workflow."""
    written = server.base / "temp" / "wan_step_cache" / f"{prompt_id}.json"
    if not written.exists():
        raise DevError(
            f"The pack wrote no {written}; the end of ComfyUI's log:\n{server.log_tail()}"
        )
    runs: list[Json] = json.loads(written.read_text(encoding="utf-8"))
    return runs[0]


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


def write_results(out: Path, pairs: Sequence[tuple[Clip, Clip]], version: str) -> None:
    """The clips, the pictures and the report."""
    out.mkdir(parents=True, exist_ok=True)
    uncached, cached = pairs[0]
    (out / "uncached.webp").write_bytes(uncached.data)
    (out / "cached.webp").write_bytes(cached.data)
    clips = [(pictures.frames(a.data), pictures.frames(b.data)) for a, b in pairs]
    report = measure(JOBS, pairs, clips, version)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    name = f'"{JOBS[0][0]}"'
    pictures.compare(out / "compare.png", *clips[0], title=name)
    pictures.timeline(out / "timeline.png", cached.trace or {}, title=f"every step of {name}")
    print(table(report))


def main(arguments: Sequence[str] | None = None) -> int:
    """The demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args(arguments).out
    say("Starting ComfyUI ...")
    exit_on_terminate()
    try:
        with ComfyServer() as server:
            version = server.system_stats()["system"]["comfyui_version"]
            say(f"ComfyUI {version} is up; rendering {len(JOBS)} clips twice ...")
            pairs = render_all(server)
        write_results(out, pairs, version)
    except DevError as error:
        say(f"dev.py: {error}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    print(f"\nLook at {out}: compare.png, timeline.png, uncached.webp, cached.webp, report.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
