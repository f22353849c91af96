"""A decision waits for the device once: in between, nothing is read back."""

import pytest
import torch

READS = ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__")


@pytest.fixture
def reads(monkeypatch):
    """Counts whatever makes Python wait for a tensor's value."""
    counted = []
    for name in READS:
        original = getattr(torch.Tensor, name)

        def counting(self, *args, original=original, **kwargs):
            counted.append(1)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, counting)
    return lambda: len(counted)


def reads_by_evaluation(wan, model, reads, **more):
    """Reads during each evaluation of a sampling, and during the whole of it."""
    during, start = [], reads()

    def function(evaluate, x, sigmas):
        def watched(x, sigma):
            before = reads()
            result = evaluate(x, sigma)
            during.append(reads() - before)
            return result

        return wan.euler(watched, x, sigmas)

    wan.sample_with(function, model, **more)
    return during, reads() - start


@pytest.mark.every_host
@pytest.mark.parametrize("level", ["output", "hidden"])
@pytest.mark.parametrize("threshold", [0.0, 1.0], ids=["computing", "reusing"])
@pytest.mark.parametrize("separately", [False, True], ids=["batched", "separate"])
@pytest.mark.parametrize("cfg_mode", ["cond", "separate"])
def test_an_evaluation_reads_back_once(
    wan, caching, model, reads, run_separately, level, threshold, separately, cfg_mode
):
    if separately:
        run_separately(model)
    cached = caching.cached(model, threshold, level, cfg_mode=cfg_mode, start_percent=0.1)
    wan.sample(cached, steps=2)
    plain, plain_in_all = reads_by_evaluation(wan, model, reads)
    ours, ours_in_all = reads_by_evaluation(wan, cached, reads)
    decisions = 2 if separately and cfg_mode == "separate" else 1
    expected = [1, *[decisions] * 7]  # the first evaluation has only its sigma to read
    assert [one - other for one, other in zip(ours, plain, strict=True)] == expected
    once_per_run = 2  # the schedule, and the sigma of start_percent
    assert ours_in_all - plain_in_all <= sum(expected) + once_per_run
