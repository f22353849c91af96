"""What is kept of each branch, and for how long."""

import pytest
import torch

from cache_core.forecast import Snapshot
from cache_core.schedule import Position
from cache_core.store import History, Store

SHAPE, OTHER = ((1, 4), "fp32"), ((2, 4), "fp32")


def at(evaluation):
    return Position(evaluation, evaluation, 1.0 - evaluation / 10)


def value(number, size=4):
    return torch.full((size,), float(number))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_history_keeps_the_newest_values_oldest_first(depth):
    history = History(depth)
    for evaluation in range(5):
        history.record(at(evaluation), value(evaluation), SHAPE)
    kept = [snapshot.position.evaluation for snapshot in history.snapshots]
    assert kept == list(range(5))[-depth:]
    assert [snapshot.value[0].item() for snapshot in history.snapshots] == kept
    assert history.nbytes == depth * 16


def test_values_of_another_signature_are_dropped_first():
    history = History(3)
    for signature in (SHAPE, SHAPE, OTHER):
        history.record(at(len(history.snapshots)), value(1), signature)
    assert len(history.snapshots) == 1 and history.signature == OTHER


def test_the_first_value_is_kept_under_its_signature():
    history = History(1)
    history.record(at(0), value(1), SHAPE)
    assert history.snapshots[0] == Snapshot(at(0), history.snapshots[0].value)
    assert history.signature == SHAPE


@pytest.mark.parametrize(
    ("recorded", "evaluation", "reaches"),
    [([], 0, False), ([3], 3, True), ([3], 2, True), ([3], 4, False), ([1, 5], 5, True)],
)
def test_a_history_reaches_the_evaluations_up_to_its_newest(recorded, evaluation, reaches):
    history = History(2)
    for index in recorded:
        history.record(at(index), value(index), SHAPE)
    assert history.reaches(evaluation) is reaches


def test_a_store_has_one_history_a_key_and_counts_all_bytes():
    store = Store(2)
    assert store.nbytes == 0 and not store.history("cond").snapshots
    store.history("cond").record(at(0), value(1), SHAPE)
    store.history("uncond").record(at(0), value(2, 10), SHAPE)
    store.history("cond").record(at(1), value(3), SHAPE)
    assert store.history("cond") is store.history("cond")
    assert store.nbytes == 2 * 16 + 40
    assert store.history("cond").snapshots.maxlen == 2
    store.clear()
    assert store.nbytes == 0 and not store.history("cond").snapshots


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_bytes_are_those_of_the_dtype(dtype):
    history = History(1)
    history.record(at(0), torch.zeros(3, 5, dtype=dtype), SHAPE)
    assert history.nbytes == 15 * dtype.itemsize
