"""Several methods on one model: who comes first, and which make no sense together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

FIRST = ("FBCache", "TeaCache")
"""Methods that are asked before all others, in this order."""

SENSELESS = {
    frozenset({"TeaCache", "CustomCache"}): (
        "both add up the change of the time embedding since the last computed step, so the lower "
        "threshold decides nothing"
    ),
    frozenset({"TaylorSeer", "AdaCache"}): (
        "both count steps since the last computed one, so the shorter interval decides nothing"
    ),
}
"""Pairs of which one method never decides, and why."""


class Named(Protocol):
    """A method, or the choice of one."""

    @property
    def name(self) -> str:
        """Its name as users know it."""


N = TypeVar("N", bound=Named)


def in_precedence(methods: Iterable[N]) -> tuple[N, ...]:
    """FBCache, then TeaCache, then the others as they were chained."""
    return tuple(sorted(methods, key=_rank))


def _rank(method: Named) -> int:
    return FIRST.index(method.name) if method.name in FIRST else len(FIRST)


def clashes(known: Sequence[Named], added: Named) -> list[str]:
    """What to say of a method added to others: what it replaces, and what makes no sense."""
    told = []
    for other in known:
        reason = SENSELESS.get(frozenset({other.name, added.name}))
        if other.name == added.name:
            told.append(f"{added.name} is applied twice; the later node replaces the earlier one.")
        elif reason:
            told.append(f"{other.name} and {added.name} on one model: {reason}. Remove one.")
    return told
