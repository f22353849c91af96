"""The device is waited for once, however many numbers are asked for."""

import pytest
import torch
from torch import Tensor
from toy import ToyModel, batched, forward, make_run, split

from cache_core import FBCache
from cache_core.scalars import read_scalars

TRANSFERS = ("tolist", "item", "cpu", "numpy", "__float__", "__int__", "__bool__", "__array__")


@pytest.fixture
def transfers(monkeypatch):
    """The names of the methods that brought a tensor's numbers to the host, in order."""
    made, inside = [], []

    def counted(name, original):
        def method(self, *args, **kwargs):
            if not inside:
                made.append(name)
            inside.append(name)
            try:
                return original(self, *args, **kwargs)
            finally:
                inside.pop()

        return method

    for name in TRANSFERS:
        monkeypatch.setattr(Tensor, name, counted(name, getattr(Tensor, name)))
    return made


DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool)
SHAPES = ((), (1,), (1, 1, 1))


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_many_scalars_of_any_dtype_and_shape_take_one_transfer(transfers, count):
    scalars = [
        torch.full(SHAPES[i % 3], i % 2 + 0.0, dtype=torch.float32).to(DTYPES[i % 6])
        for i in range(count)
    ]
    values = read_scalars(scalars)
    assert transfers == ["tolist"]
    assert values == [float(i % 2) for i in range(count)]
    assert all(type(value) is float for value in values)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 123.456, 1e-8, float("inf")])
def test_values_are_those_of_fp32(value):
    assert read_scalars([torch.tensor(value, dtype=torch.float64)]) == [
        torch.tensor(value, dtype=torch.float32).item()
    ]


def test_scalars_that_need_gradients_are_read_all_the_same():
    assert read_scalars([torch.ones(1, requires_grad=True)]) == [1.0]


COSTS = [  # script of three evaluations, options, policies -> transfers of each evaluation
    (batched(1.0, 1.0, 5.0), {}, 1, [1, 1, 1]),
    (split(1.0, 1.0, 5.0), {}, 1, [1, 1, 1]),
    (batched(1.0, 1.0, 5.0), {"cfg_mode": "separate"}, 1, [1, 1, 1]),
    (split(1.0, 1.0, 5.0), {"cfg_mode": "separate"}, 1, [1, 2, 2]),
    (batched(1.0, 1.0, 5.0, names=("cond", "uncond", "third")), {}, 3, [1, 1, 1]),
    (batched(1.0, 1.0, 5.0), {"warmup_steps": 9}, 1, [1, 1, 1]),
]


@pytest.mark.parametrize(("script", "options", "policies", "expected"), COSTS)
def test_an_evaluation_waits_once_for_each_decision(transfers, script, options, policies, expected):
    run = make_run(*[FBCache(0.1, downsample=1)] * policies, **options)
    waited = []
    for sigma, calls in zip((1.0, 0.95, 0.9), script, strict=True):
        del transfers[:]
        run.begin(torch.full((2,), sigma))
        for rows in calls:
            forward(run, rows, ToyModel())
        run.end()
        waited.append(len(transfers))
    assert waited == expected
