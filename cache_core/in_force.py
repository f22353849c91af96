"""The applied methods of a run as its trace tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .config import Method
from .guards import Guards
from .keeping import Keeping
from .trace import MethodInForce, Trace

if TYPE_CHECKING:
    from .run import Run


def trace_of(run: Run, model: str, keeping: Keeping) -> Trace:
    """The trace of a run that starts: its methods in order of precedence, CFG Cache last."""
    told = list(zip(run.methods, run.guards, strict=True))
    told += [(run.guidance.method, run.guidance.guards)] if run.guidance else []
    numbers, forecast = [_in_force(*pair) for pair in told], run.forecast.describe()
    return Trace(model, run.level, numbers, run.schedule.steps, forecast, keeping=keeping)


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
