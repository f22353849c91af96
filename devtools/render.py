"""Renders clips of the tiny Wan on a server, and times their sampler."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

from .client import Json
from .demo_workflow import REPORT, SAMPLER, SAVE, STEPS, workflow
from .errors import DevError
from .events import EventReader
from .server import ComfyServer


@dataclass(frozen=True)
class Clip:
    """One render: the file as written, and the time of its sampler.

    If it was cached, its trace, and the picture that Step Cache Report made of it.
    """

    data: bytes
    seconds: float
    trace: Json | None = None
    timeline: bytes = b""


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
        if not cached:
            return Clip(data, seconds)
        timeline = self.server.view(**outputs[REPORT]["images"][0])
        return Clip(data, seconds, read_trace(self.server, prompt_id), timeline)


def read_trace(server: ComfyServer, prompt_id: str) -> Json:
    """The trace that the pack wrote for this workflow."""
    written = server.base / "temp" / "wan_step_cache" / f"{prompt_id}.json"
    if not written.exists():
        raise DevError(
            f"The pack wrote no {written}; the end of ComfyUI's log:\n{server.log_tail()}"
        )
    runs: list[Json] = json.loads(written.read_text(encoding="utf-8"))
    return runs[0]
