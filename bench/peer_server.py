"""A ComfyUI that renders for `bench peers`, and is started again where a pack has ended it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from devtools.client import ExecutionFailed, PromptRejected
from devtools.errors import DevError
from devtools.paths import ROOT
from devtools.progress import say
from devtools.server import TINY_WAN, ComfyServer

from .peer_graph import STOP, Node, controlled, filled, graph, unlike
from .prompts import Prompt

Json = dict[str, Any]
HELPERS = {"tiny_wan": TINY_WAN, "step_cache_bench": ROOT / "bench" / "peer_nodes"}
RENDER_SECONDS, END_SECONDS = 300.0, 3.0
BRANCHES = 2
PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?(?:[\\/][^\\/\s'\"()]+)*[\\/]([^\\/\s'\"():]+)")
FAILED = "Cannot import {place} module for custom nodes: "


class RenderFailed(Exception):
    """A render that came to nothing: what the host said of it, in one line without paths."""


@dataclass(frozen=True)
class Render:
    """One sampling.

    frames [frames, height, width, 3] in 0..1. digest: of all bits of the latent. computed: steps'
    worth of rows that reached the model's last block. seconds and cpu_seconds: of the sampler.
    peak_rss: the most memory of the process in bytes, if known.
    """

    frames: Tensor
    digest: str
    computed: float
    seconds: float
    cpu_seconds: float
    peak_rss: int | None


class Rig:
    """One server with some packs in it; use it in a `with` statement."""

    def __init__(self, packs: Mapping[str, Path]) -> None:
        self.packs = {**HELPERS, **packs}
        self.takes = 0
        self.server = ComfyServer(packs=self.packs)

    def __enter__(self) -> Rig:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    @cached_property
    def declared(self) -> Json:
        """The declarations of all nodes by id."""
        return self.server.object_info()

    def nodes_of(self, pack: str) -> list[str]:
        """The ids of the nodes that a folder has brought."""
        module = f"custom_nodes.{pack}"
        return [name for name, info in self.declared.items() if info["python_module"] == module]

    def complaint(self, pack: str) -> str | None:
        """Why the host could not load a folder, None if it could."""
        said = FAILED.format(place=self.server.base / "custom_nodes" / pack)
        _, found, after = self.server.log_text().partition(said)
        return plain(after) if found else None

    def chain(self, names: Sequence[str], inputs: Json) -> list[Node]:
        """Nodes in a row; the inputs are those of the last, the others have their defaults."""
        if missing := [name for name in names if name not in self.declared]:
            raise RenderFailed(f"the host has no node {missing[0]}")
        given: list[Json] = [{} for _ in names[:-1]] + [inputs]
        return [(n, filled(self.declared[n], g)) for n, g in zip(names, given, strict=True)]

    def render(
        self,
        prompt: Prompt,
        steps: int,
        chain: Sequence[Node],
        copy: str,
        control: float | None = None,
        apart: bool = False,
    ) -> Render:
        """One clip; RenderFailed if there is none.

        control: strength of a control video, for a VACE model. apart: branches that the host
        cannot batch.
        """
        self.takes += 1
        take = f"take{self.takes}"
        made = graph(prompt, steps, chain, copy, take)
        if control is not None:
            made = controlled(made, control)
        if apart:
            made = unlike(made)
        (said,) = self._outputs(made)[STOP]["measured"]
        rows = said.pop("rows")
        return Render(self._frames(take), computed=rows / BRANCHES, **said)

    def _outputs(self, made: Json) -> Json:
        try:
            outputs: Json = self.server.run(made, RENDER_SECONDS)["outputs"]
        except ExecutionFailed as error:
            raise RenderFailed(plain(f"{error.exception_type}: {error.message}")) from error
        except PromptRejected as error:
            raise RenderFailed(plain(str(error))) from error
        except (DevError, OSError) as error:
            raise RenderFailed(self._restarted(error)) from error
        return outputs

    def _restarted(self, error: Exception) -> str:
        """A new server, and what became of the old one."""
        ended = has_ended(self.server.process)
        self.server.stop()
        say("ComfyUI is started again.")
        self.server = ComfyServer(packs=self.packs).start()
        return "ComfyUI ended by itself" if ended else plain(str(error))

    def _frames(self, take: str) -> Tensor:
        path = self.server.base / "output" / "bench" / f"{take}.npy"
        frames = torch.from_numpy(np.load(path))
        path.unlink()
        return frames


def has_ended(process: subprocess.Popen[bytes] | None) -> bool:
    """Whether a process is over, or about to be: its connections break a moment before."""
    try:
        return process is not None and process.wait(END_SECONDS) is not None
    except subprocess.TimeoutExpired:
        return False


def plain(text: str) -> str:
    """The first line in ASCII, with the names of files in the place of their paths."""
    lines = text.strip().splitlines() or [""]
    return PATH.sub(r"\1", lines[0]).encode("ascii", "replace").decode()
