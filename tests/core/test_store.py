"""What is kept of each branch, for how long, and in whose memory."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cache_core.schedule import Position
from cache_core.store import History, Store

SHAPE, OTHER = ((1, 4), "fp32"), ((2, 4), "fp32")


def at(evaluation):
    return Position(evaluation, evaluation, 1.0 - evaluation / 10)


def value(number, size=4):
    return torch.full((size,), float(number))


def kept(history):
    """The evaluation and the number of each value."""
    numbers = [v.unique().tolist() for v in history.values]
    return list(zip([p.evaluation for p in history.positions], numbers, strict=True))


@pytest.fixture
def allocations(monkeypatch):
    """What buffers were made like."""
    made, empty = [], torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **how: made.append(a) or empty(*a, **how))
    return made


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_history_keeps_the_newest_values_oldest_first(depth):
    history = History(depth)
    for evaluation in range(5):
        history.record(at(evaluation), value(evaluation), SHAPE)
    assert kept(history) == [(n, [n]) for n in range(5)][-depth:]
    assert history.positions == [at(n) for n in range(5)][-depth:]
    assert history.nbytes == depth * 16


@given(
    depth=st.integers(1, 4),
    signatures=st.lists(st.sampled_from([(4,), (6,), (2, 2)]), min_size=1, max_size=12),
)
def test_any_history_against_a_naive_list(depth, signatures):
    history, naive = History(depth), []
    for evaluation, shape in enumerate(signatures):
        if evaluation and shape != signatures[evaluation - 1]:
            naive = []
        naive = [*naive, (evaluation, [float(evaluation)])][-depth:]
        history.record(at(evaluation), torch.full(shape, float(evaluation)), shape)
        assert kept(history) == naive
        assert {tuple(v.shape) for v in history.values} == {shape}
        assert history.nbytes == len(naive) * torch.zeros(shape).nbytes
        assert history.signature == shape


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_full_history_records_into_its_own_buffers_in_turn(depth, allocations):
    history, homes = History(depth), []
    for evaluation in range(3 * depth + 1):
        history.record(at(evaluation), value(evaluation), SHAPE)
        homes.append(history.values[-1].data_ptr())
        assert len(allocations) == min(evaluation + 1, depth)
    assert len(set(homes)) == depth
    assert homes == [homes[place % depth] for place in range(len(homes))]


@pytest.mark.parametrize("depth", [1, 2])
def test_what_is_recorded_is_a_copy(depth):
    history = History(depth)
    for evaluation in range(4):
        mine = value(evaluation)
        history.record(at(evaluation), mine, SHAPE)
        assert mine.data_ptr() not in {v.data_ptr() for v in history.values}
        mine.fill_(99)
        assert kept(history)[-1] == (evaluation, [evaluation])


def test_fill_writes_the_value_where_it_is_kept():
    history, given_buffers = History(1), []

    def fill(number):
        return lambda buffer: given_buffers.append(buffer.fill_(number))

    for evaluation in range(2):
        history.fill(at(evaluation), value(0), fill(evaluation + 5), SHAPE)
    assert kept(history) == [(1, [6])]
    assert given_buffers[0] is given_buffers[1] is history.values[0]


@pytest.mark.parametrize("depth", [1, 3])
def test_a_value_that_cannot_be_written_is_not_kept(depth):
    history = History(depth)
    for evaluation in range(3):
        history.record(at(evaluation), value(evaluation), SHAPE)

    def fail(buffer):
        raise MemoryError

    with pytest.raises(MemoryError):
        history.fill(at(3), value(3), fail, SHAPE)
    assert kept(history) == [(n, [n]) for n in range(3)][-depth:][1:]
    assert at(3) not in history.positions


def test_values_of_another_signature_are_dropped_first():
    history = History(3)
    for signature in (SHAPE, SHAPE, OTHER):
        history.record(at(len(history.values)), value(1), signature)
    assert len(history.values) == len(history.positions) == 1 and history.signature == OTHER


OTHER_KIND = {
    "shape": (torch.zeros(4), torch.zeros(5)),
    "dtype": (torch.zeros(4), torch.zeros(4, dtype=torch.bfloat16)),
    "device": (torch.zeros(4), torch.zeros(4, device="meta")),
}


@pytest.mark.parametrize(("before", "after"), OTHER_KIND.values(), ids=OTHER_KIND.keys())
def test_a_value_of_another_kind_starts_anew_though_the_input_is_alike(before, after):
    history = History(2)
    for evaluation in range(3):
        history.record(at(evaluation), before, SHAPE)
    history.record(at(3), after, SHAPE)
    assert history.positions == [at(3)]
    (only,) = history.values
    assert (only.shape, only.dtype, only.device) == (after.shape, after.dtype, after.device)


def test_a_buffer_of_inference_mode_is_not_written_outside_of_it():
    history = History(1)
    with torch.inference_mode():
        history.record(at(0), value(0), SHAPE)
        first = history.values[0]
        history.record(at(1), value(1), SHAPE)
        assert history.values[0] is first and first.is_inference()
    history.record(at(2), value(2), SHAPE)
    assert history.values[0] is not first and not history.values[0].is_inference()
    assert first.unique().tolist() == [1] and kept(history) == [(2, [2])]


def test_a_plain_buffer_is_written_in_inference_mode():
    history = History(1)
    history.record(at(0), value(0), SHAPE)
    first = history.values[0]
    with torch.inference_mode():
        history.record(at(1), value(1), SHAPE)
    assert history.values[0] is first and kept(history) == [(1, [1])]


def test_a_debt_is_paid_by_the_next_value_and_forgotten_with_the_others():
    history = History(2)
    for pay in (
        lambda: history.record(at(5), value(1), SHAPE),
        lambda: history.record(at(5), value(1, 5), OTHER),
        history.clear,
    ):
        history.record(at(0), value(0), SHAPE)
        history.owe(at(1), -0.1, [1.0])
        history.owe(at(2), -0.2, [2.0])
        assert [(d.position, d.length, d.weights) for d in history.owed] == [
            (at(1), -0.1, (1.0,)), (at(2), -0.2, (2.0,)),
        ]  # fmt: skip
        pay()
        assert history.owed == []


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
    assert store.nbytes == 0 and not store.history("cond").values
    store.history("cond").record(at(0), value(1), SHAPE)
    store.history("uncond").record(at(0), value(2, 10), SHAPE)
    store.history("cond").record(at(1), value(3), SHAPE)
    assert store.history("cond") is store.history("cond")
    assert store.nbytes == 2 * 16 + 40
    assert store.history("cond").depth == 2
    store.clear()
    assert store.nbytes == 0 and not store.history("cond").values


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_bytes_are_those_of_depth_values_of_the_dtype(dtype, depth):
    history = History(depth)
    for evaluation in range(6):
        history.record(at(evaluation), torch.zeros(3, 5, dtype=dtype), SHAPE)
        assert history.nbytes == min(evaluation + 1, depth) * 15 * dtype.itemsize
