"""What a branch's history gives back: a forecast, or a computed value made good."""

from __future__ import annotations

import torch
from torch import Tensor

from .forecast import Forecast, combine, correction_weights
from .schedule import Position, Schedule
from .store import History


def recall(
    history: History,
    forecast: Forecast,
    schedule: Schedule,
    at: Position,
    device: torch.device,
) -> Tensor:
    """The forecast value at a position, in a new tensor; noted as owed if it is to be corrected."""
    weights = forecast.weights(history.positions, at)
    value = combine(history.slots, weights, history.slots[-1].dtype, device)
    if forecast.corrects:
        history.owe(at, schedule.length(at.step), weights)
    return value


def make_good(history: History, schedule: Schedule, at: Position, computed: Tensor) -> Tensor:
    """A value computed at a position, corrected for the reused steps before it, in a new tensor."""
    length = schedule.length(at.step)
    owed = history.owed if length else []
    weights = correction_weights(history.positions, at, length, owed)
    return combine([*history.slots, computed], weights, computed.dtype, computed.device)
