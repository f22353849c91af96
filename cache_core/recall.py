"""The values of a model call's rows: forecast from histories, corrected, kept in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .anchors import restore
from .branches import Chunk
from .forecast import Forecast, combine, combine_into, correction_weights
from .forms import Fill
from .schedule import Position, Schedule
from .store import History

if TYPE_CHECKING:
    from .run import Run

RowsFill = Callable[[slice], Fill]
"""For some rows, what writes their value into a buffer."""


def forecast_rows(
    run: Run, chunks: Sequence[Chunk], at: Position, latent: Tensor, base: Tensor | None
) -> Tensor:
    """What all rows reuse at a position, in a new tensor; added to ``base`` if given."""
    kept = run.store.history(chunks[0].key).slots[-1]
    shape = (len(latent), *kept.shape[1:])
    value = torch.empty(shape, dtype=kept.dtype, device=latent.device)
    for chunk in chunks:
        recall(run, run.store.history(chunk.key), at, value[chunk.rows])
    if base is None:
        value = restore(run.forecast.anchor, value, latent, at.sigma)
    for chunk in chunks:
        watch(run, chunk, value[chunk.rows], reused=True)
    return value if base is None else value.add_(base)


def recall(run: Run, history: History, at: Position, into: Tensor) -> None:
    """Write the forecast value at a position."""
    combine_into(into, history.slots, weighed(run.forecast, run.schedule, history, at))


def weighed(forecast: Forecast, schedule: Schedule, history: History, at: Position) -> list[float]:
    """The weights of what is reused at a position; noted as owed if it is to be made good."""
    weights = forecast.weights(history.positions, at)
    history.mixed = sum(map(bool, weights))
    if forecast.corrects:
        history.owe(at, schedule.length(at.step), weights)
    return weights


def correct_rows(
    run: Run, chunks: Sequence[Chunk], at: Position, computed: Tensor
) -> Tensor | None:
    """All rows of a computed value with reused steps made good, in a new tensor; None where
    nothing is owed.

    What a branch owes is settled by others when they were computed without it (CFG Cache).
    """
    histories = [run.store.history(chunk.key) for chunk in chunks]
    for chunk, history in zip(chunks, histories, strict=True):
        if run.group(chunk.group).missed(history, at.evaluation):
            history.owed.clear()
    if not any(history.owed for history in histories):
        return None
    parts = [
        make_good(history, run.schedule, at, computed[chunk.rows])
        if history.signature == chunk.signature
        else computed[chunk.rows]
        for chunk, history in zip(chunks, histories, strict=True)
    ]
    return torch.cat(parts)


def make_good(history: History, schedule: Schedule, at: Position, computed: Tensor) -> Tensor:
    """A value computed at a position, corrected for the reused steps before it, in a new tensor."""
    length = schedule.length(at.step)
    owed = history.owed if length else []
    weights = correction_weights(history.positions, at, length, owed)
    return combine([*history.slots, computed], weights, computed.dtype, computed.device)


def keep_rows(
    run: Run,
    chunks: Sequence[Chunk],
    at: Position,
    like: Tensor,
    fill: RowsFill,
    output: Tensor,
) -> None:
    """Keep the values of all rows, and show them to the alarm: what is kept, or the output."""
    for chunk in chunks:
        rows, history = chunk.rows, run.store.history(chunk.key)

        def shown(buffer: Tensor, chunk: Chunk = chunk) -> None:
            fill(chunk.rows)(buffer)
            value = buffer if run.level == "hidden" else output[chunk.rows]
            watch(run, chunk, value, reused=False)

        history.fill(at, like[rows], shown, chunk.signature)


def watch(run: Run, chunk: Chunk, value: Tensor, reused: bool) -> None:
    """Show a value to the alarm, which compares what has the same signature; velocities that come
    of a held denoised latent have no band.
    """
    if run.forecast.anchor != "denoised":
        run.alarm.watch((chunk.key, chunk.signature), value, reused)
