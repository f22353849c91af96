"""What a reused value is."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from cache_core.forecast import Hold, Snapshot
from cache_core.schedule import Position


def snapshots(*numbers):
    return [
        Snapshot(Position(index, index, 1.0 - index / 10), torch.full((2, 3), float(number)))
        for index, number in enumerate(numbers)
    ]


@pytest.mark.parametrize("numbers", [(4,), (1, 9), (5, 3, 8)])
@pytest.mark.parametrize("evaluation", [3, 4, 50])
def test_hold_is_the_newest_value_however_long_ago(numbers, evaluation):
    kept = snapshots(*numbers)
    value = Hold().predict(kept, Position(evaluation, evaluation, 0.2))
    assert value is kept[-1].value
    assert value.unique().tolist() == [numbers[-1]]


def test_hold_needs_one_value_and_learns_nothing():
    assert Hold().depth == 1
    with pytest.raises(FrozenInstanceError):
        Hold().depth = 2
