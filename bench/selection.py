"""Which rows of a scenario are measured again, while the others are kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from devtools.errors import DevError


@dataclass(frozen=True)
class Selection:
    """methods: of these methods, if any are named. picture: what the picture shows, if True."""

    methods: tuple[str, ...] = ()
    picture: bool = False

    @property
    def everything(self) -> bool:
        """True when no row is kept."""
        return not self.methods and not self.picture

    def holds(self, method: str, kind: str, forecast: str) -> bool:
        """Whether a row is in it."""
        named = not self.methods or method in self.methods
        return named and (not self.picture or drawn(kind, forecast))


def require_known(option: str, named: Iterable[str], known: Iterable[str]) -> None:
    """DevError where an option of the command line names something that there is not."""
    there = dict.fromkeys(known)
    if unknown := [name for name in named if name not in there]:
        raise DevError(
            f"{option}: there is no {quoted(unknown)}; give one or more of {quoted(there)}."
        )


def quoted(names: Iterable[str]) -> str:
    """Names, some of which have commas and blanks in them."""
    return ", ".join(map(repr, names))


def drawn(kind: str, forecast: str, wanted: str = "auto") -> bool:
    """Whether a row is a point of a curve: its knob was varied, with the wanted forecast if any."""
    return kind == "sweep" and forecast in ("", wanted)
