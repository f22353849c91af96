"""Which packs are compared, what they call themselves, and which of their nodes are tried."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devtools.errors import DevError
from devtools.paths import ROOT
from devtools.progress import say

from .commit import commit
from .peer_packs import HOST, KNOWN, OURS, Method
from .peer_server import Rig, plain
from .results import versions
from .selection import require_known

PACK, COMFYUI = "Wan Step Cache", "ComfyUI"
VERSION = re.compile(r'^version\s*=\s*"([^"]+)"', re.MULTILINE)
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


@dataclass(frozen=True)
class Pack:
    """A pack as the results name it.

    folder: its place in custom_nodes and where it comes from, None for ComfyUI's own nodes.
    methods: what is tried of it, None where its nodes must tell.
    """

    name: str
    version: str
    commit: str = ""
    folder: tuple[str, Path] | None = None
    methods: tuple[Method, ...] | None = None

    @property
    def placed(self) -> dict[str, Path]:
        """For the server."""
        return dict([self.folder] if self.folder else [])


def own() -> list[Pack]:
    """ComfyUI's nodes and this pack."""
    known = versions()
    folder = ("wan-step-cache", ROOT)
    return [
        Pack(COMFYUI, known["comfyui"], methods=HOST),
        Pack(PACK, known["pack"], commit(), folder, OURS),
    ]


def peer(path: Path) -> Pack:
    """The pack in this folder; DevError if there is none."""
    if not (path / "__init__.py").is_file():
        raise DevError(f"--peer {path} is no folder of a custom node pack; give its absolute path.")
    name = path.resolve().name
    return Pack(name, version(path), commit(path), (name, path.resolve()))


def version(path: Path) -> str:
    """As its pyproject.toml says, else nothing."""
    file = path / "pyproject.toml"
    found = VERSION.search(file.read_text(encoding="utf-8")) if file.is_file() else None
    return found[1] if found else ""


def methods(pack: Pack, rig: Rig) -> Sequence[Method]:
    """What is tried: nodes that are known, else every node that takes a model and gives one."""
    if pack.methods is not None or pack.folder is None:
        return pack.methods or ()
    there = rig.nodes_of(pack.folder[0])
    known = [KNOWN[name] for name in KNOWN if name in there]
    return known or [Method(name) for name in there if patches_a_model(rig.declared[name])]


def require_methods(named: Sequence[str], packs: Sequence[Pack]) -> None:
    """DevError where a line of the tables is named that no pack has.

    Packs whose nodes must tell are loaded for it, where the others do not have all that is named.
    """
    known = [method.name for pack in packs for method in pack.methods or ()]
    for pack in packs:
        if pack.methods is None and not set(named) <= set(known):
            known += names_of(pack)
    require_known("--only", named, known)


def names_of(pack: Pack) -> list[str]:
    """What tables call the nodes of a pack that has to be loaded; none where it cannot be."""
    try:
        with Rig(pack.placed) as rig:
            said = rig.complaint(pack.folder[0]) if pack.folder else None
            found = [method.name for method in methods(pack, rig)]
    except DevError as error:
        said, found = plain(str(error)), []
    say(f"{pack.name}: {said or f'{len(found)} methods'}")
    return found


def patches_a_model(info: Mapping[str, Any]) -> bool:
    """Whether a node needs a MODEL called `model` and nothing else from other nodes, gives one."""
    required = info["input"].get("required", {})
    links = {n for n, s in required.items() if isinstance(s[0], str) and s[0] not in WIDGETS}
    return links == {"model"} and required["model"][0] == "MODEL" and "MODEL" in info["output"][:1]
