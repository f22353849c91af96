"""MultiGPU CFG Split: the host calls the model from a thread for each device, here CPUs."""

import threading

import pytest
import torch

METHODS = ("EasyCache", "AdaCache", "TaylorSeer")


@pytest.fixture
def two_devices(model, wan):
    """The model with a copy of itself on a second device."""
    if not hasattr(model, "is_multigpu_base_clone"):
        pytest.skip("this ComfyUI has one device for a sampling")
    second = wan.random_wan()
    second.load_device, second.is_multigpu_base_clone = torch.device("cpu:1"), True
    both = model.clone()
    both.set_additional_models("multigpu", [second])
    return both


def calls_by_thread(model):
    """A clone, and the thread and branches of each of its calls that are computed."""
    from comfy.patcher_extension import WrappersMP

    clone, calls = model.clone(), []

    def diffusion_model(executor, *args, **kwargs):
        calls.append((threading.current_thread().name, tuple(args[5]["cond_or_uncond"])))
        return executor(*args, **kwargs)

    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "by thread", diffusion_model)
    return clone, calls


def test_the_fixture_makes_the_host_use_a_thread_for_each_branch(two_devices, wan):
    watched, calls = calls_by_thread(two_devices)
    wan.sample(watched, steps=3)
    assert len(calls) == 6 and len(set(calls)) == len({thread for thread, _ in calls}) == 2


@pytest.mark.parametrize("level", ["output", "hidden"])
def test_a_cache_that_never_reuses_changes_nothing(two_devices, wan, caching, traces, level):
    plain = wan.sample(two_devices)
    assert torch.equal(plain, wan.sample(caching.cached(two_devices, 0.0, level)))
    assert traces[0].failsafes() == {}
    assert caching.actions(traces[0]) == caching.actions(traces[0], "uncond") == "C" * 8


@pytest.mark.parametrize("level", ["output", "hidden"])
def test_each_branch_decides_for_itself_whichever_comes_first(
    two_devices, model, wan, caching, traces, run_separately, level
):
    run_separately(model)
    at_once = wan.sample(caching.cached(two_devices, 0.1, level))
    in_turn = wan.sample(caching.cached(model, 0.1, level, cfg_mode="separate"))
    assert torch.equal(at_once, in_turn)
    for branch in ("cond", "uncond"):
        found, expected = (caching.metrics(trace, branch) for trace in traces)
        assert found == expected and len(found) == 8
    assert "R" in caching.actions(traces[0]) and traces[0].failsafes() == {}


@pytest.mark.parametrize("name", METHODS)
def test_methods_reuse_as_they_do_in_turn(
    two_devices, model, wan, caching, traces, run_separately, name
):
    run_separately(model)
    at_once = wan.sample(caching.applied(name, two_devices))
    in_turn = wan.sample(caching.applied(name, model, cfg_mode="separate"))
    assert torch.equal(at_once, in_turn)
    for branch in ("cond", "uncond"):
        found, expected = (caching.actions(trace, branch) for trace in traces)
        assert found == expected and "R" in found
    assert traces[0].failsafes() == {}


def test_both_devices_compute_at_the_same_time(two_devices, wan, caching, traces):
    meeting = threading.Barrier(2)
    (second,) = two_devices.get_additional_models_with_key("multigpu")
    blocks = [m.model.diffusion_model.blocks[2] for m in (two_devices, second)]

    def meet(*args):
        meeting.wait(timeout=10)

    handles = [block.register_forward_hook(meet) for block in blocks]
    try:
        wan.sample(caching.cached(two_devices, 0.0))
    finally:
        for handle in handles:
            handle.remove()
    assert not meeting.broken and traces[0].errors == 0
