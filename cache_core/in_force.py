"""The applied methods of a run as its trace tells them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .config import Method
from .guards import Guards
from .trace import MethodInForce


def in_force(methods: Iterable[tuple[Method, Guards]]) -> list[MethodInForce]:
    """Methods with the guards that hold for each, in the same order."""
    return [_in_force(method, guards) for method, guards in methods]


def _in_force(method: Method, guards: Guards) -> MethodInForce:
    return MethodInForce(
        method=method.policy.name,
        preset=method.preset,
        numbers=f"{method.policy.describe()}; {guards.describe()}",
        source=method.source,
        settings=_plain(vars(method.policy)),
        node=method.node_id,
        notes=method.notes,
    )


def _plain(settings: Mapping[str, object]) -> dict[str, object]:
    """The numbers and words among a policy's fields; curves and fits are too long for a trace."""
    numbers = {k: v for k, v in settings.items() if k not in ("name", "looks_at")}
    return {k: v for k, v in numbers.items() if isinstance(v, str | int | float | None)}
