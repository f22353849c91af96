"""Which packs load on another ComfyUI than the one they are measured on: `bench peers --loads`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devtools.errors import DevError
from devtools.progress import say

from . import results
from .commit import commit
from .peer_found import PACK, Pack
from .peer_server import Rig, plain

Json = dict[str, Any]


def add(path: Path, packs: Sequence[Pack]) -> Json:
    """The results in a file, with what the ComfyUI at hand says of packs measured there."""
    found = results.read(path)
    host = results.versions()["comfyui"]
    if host == found["versions"]["comfyui"]:
        raise DevError(
            f"{path} was measured on ComfyUI {host} and says what loads there: name another one "
            "with --comfyui."
        )
    placed = [pack for pack in packs if pack.folder]
    if unknown := [pack for pack in placed if not measured(found, pack)]:
        told = " ".join((unknown[0].name, unknown[0].commit))
        raise DevError(f"{path} holds no results of {told}: measure it first.")
    loads = {pack.name: complaint(pack) for pack in placed}
    elsewhere = found.setdefault("elsewhere", {})
    elsewhere[host] = {"date": results.today(), "commit": commit(), "loads": loads}
    found["elsewhere"] = dict(sorted(elsewhere.items()))
    return found


def measured(found: Json, pack: Pack) -> bool:
    """Whether there are results of a pack, in just this state if it is not ours."""
    states = [one["commit"] for one in found["packs"] if one["pack"] == pack.name]
    return pack.commit in states or (pack.name == PACK and bool(states))


def complaint(pack: Pack) -> str | None:
    """Why a ComfyUI with this pack alone could not load it, None if it could."""
    try:
        with Rig(pack.placed) as rig:
            said = rig.complaint(pack.folder[0]) if pack.folder else None
    except DevError as error:
        said = plain(str(error))
    say(f"{pack.name}: {said or 'loads'}")
    return said
