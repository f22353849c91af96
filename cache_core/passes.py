"""Which pass of an evaluation a model call is part of, told by what other packs patched it with.

Extra guidance runs a condition once more with a patch of its own, and what is kept of one pass must
not serve the other. A patch is known by the object that it is and by what it closes over. Where a
pack makes a new one for every call, what never comes twice tells nothing: it is left out of the
name, unless two passes of one evaluation would then bear the same. (A second such pass that starts
later and in front of the first is known only once its first evaluation is over.)
"""

from __future__ import annotations

import weakref
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from functools import partial
from typing import Any

Place = tuple[Hashable, Hashable, int]
"""Where a patch is, what kind it is (its code, or its class), and how many parts it has."""

Parts = tuple[Hashable, ...]
"""What tells a patch from others of its kind in its place."""

Patched = dict[Place, Parts]
"""The patches of one model call."""

PLAIN = (bool, int, float, str, bytes, type(None))


class Passes:
    """Names of the passes of one run, learnt from one evaluation to the next.

    fleeting: parts that were all new in the last evaluation that had any, by their index. mixed:
    places in which only such parts tell two passes apart.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Patched, tuple[Hashable, ...]]] = []
        self.before: dict[Place, list[set[Hashable]]] = {}
        self.fleeting: dict[Place, set[int]] = {}
        self.mixed: set[Place] = set()

    def begin(self) -> None:
        """An evaluation starts: learn from the one before it."""
        for place, columns in self._columns().items():
            before = self.before.get(place, columns)
            pairs = enumerate(zip(columns, before, strict=True))
            self.fleeting[place] = {i for i, (now, past) in pairs if not now & past}
            self.before[place] = columns
        names = Counter((self._name(p), row) for p, rows in self.calls for row in rows)
        for (name, _), count in names.items():
            if count > 1:
                self.mixed |= {place for place, _ in name if self.fleeting[place]}
        self.calls.clear()

    def name(self, patches: Mapping[Hashable, Any], rows: Iterable[Hashable]) -> Hashable:
        """The name of the pass that a model call with these patches is part of.

        rows: what runs in the call, each of which runs once in every pass.
        """
        patched = dict(dissected(where, patch) for where, patch in patches.items())
        self.calls.append((patched, tuple(rows)))
        return self._name(patched)

    def _name(self, patched: Patched) -> frozenset[tuple[Place, Parts]]:
        return frozenset((place, self._lasting(place, parts)) for place, parts in patched.items())

    def _lasting(self, place: Place, parts: Parts) -> Parts:
        fleeting = self.fleeting.get(place, set()) if place not in self.mixed else set()
        return tuple(part for i, part in enumerate(parts) if i not in fleeting)

    def _columns(self) -> dict[Place, list[set[Hashable]]]:
        found: dict[Place, list[Parts]] = defaultdict(list)
        for patched, _ in self.calls:
            for place, parts in patched.items():
                found[place].append(parts)
        transposed = {place: zip(*rows, strict=True) for place, rows in found.items()}
        return {place: [set(column) for column in columns] for place, columns in transposed.items()}


def mentions(patch: Any, word: str) -> bool:
    """True for a patch in whose code there is this word."""
    function = getattr(patch, "func", patch)
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None) or getattr(type(patch).__call__, "__code__", None)
    return code is not None and word in code.co_consts


class Living:
    """An object by its identity, as long as it lives: nothing that comes later equals it."""

    def __init__(self, value: Any) -> None:
        self.reference = weakref.ref(value)
        self.number = id(value)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Living):
            return False
        mine = self.reference()
        return mine is not None and mine is other.reference()


def dissected(where: Hashable, patch: Any) -> tuple[Place, Parts]:
    """The place and the parts of a patch: itself, and what it closes over."""
    kind, held = _insides(patch)
    parts = (part(patch), *map(part, held))
    return (where, kind, len(parts)), parts


def _insides(patch: Any) -> tuple[Any, list[Any]]:
    """What kind of patch it is, and what it holds: cells, defaults, arguments, its object."""
    if isinstance(patch, partial):
        kind, held = _insides(patch.func)
        return (partial, kind), [*held, *patch.args, *patch.keywords.values()]
    function = getattr(patch, "__func__", patch)
    code = getattr(function, "__code__", None)
    if code is None:
        return type(patch), []
    held = [_content(cell) for cell in function.__closure__ or ()]
    held += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    return code, [getattr(patch, "__self__", None), *held]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def part(value: Any) -> Hashable:
    """What tells a value from others: numbers and words by themselves, objects by identity.

    Nothing does for containers, which may be filled between two calls.
    """
    if isinstance(value, PLAIN):
        return type(value), value
    try:
        return Living(value)
    except TypeError:  # knows no weak references
        return str(type(value))
