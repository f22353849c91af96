"""Several conditions, windows and passes within one evaluation: none uses what another computed."""

import pytest
import torch

pytestmark = pytest.mark.every_host

LEVELS = ("output", "hidden")


def combined(wan):
    """Two prompts over the whole picture."""
    return [*wan.conditioning(1), *wan.conditioning(3)]


def regional(wan):
    """A prompt for the left half, and one for the right."""
    halves = []
    for (tokens, _), left in ((wan.conditioning(1)[0], 0.0), (wan.conditioning(3)[0], 0.5)):
        area = ("percentage", 1.0, 1.0, 0.5, 0.0, 0.0, left)
        halves.append([tokens, {"area": area, "strength": 1.0}])
    return halves


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("prompts", [combined, regional])
def test_several_prompts(wan, caching, model, traces, level, prompts):
    prompt = prompts(wan)
    plain = wan.sample(model, positive=prompt)
    assert torch.equal(plain, wan.sample(caching.cached(model, 0.0, level), positive=prompt))
    cached = caching.cached(model, level=level, max_consecutive_skips=1)
    caching.assert_reuse_is_exact(wan.evaluated_twice(cached, steps=5, positive=prompt), level)
    assert caching.actions(traces[1]) == "CCRR" * 5
    assert traces[1].failsafes() == {}


def test_a_prompt_that_takes_over_starts_computed(wan, caching, model, traces):
    (early, _), (late, _) = combined(wan)
    prompt = [[early, {"end_percent": 0.45}], [late, {"start_percent": 0.45}]]
    wan.sample(caching.cached(model), positive=prompt)
    trace = traces[0]
    takes_over = caching.actions(trace).rindex("C")
    assert takes_over > 2
    assert caching.actions(trace) == "C" + "R" * (takes_over - 1) + "C" + "R" * (7 - takes_over)
    assert caching.actions(trace) == caching.actions(trace, "uncond")


@pytest.mark.parametrize("level", LEVELS)
def test_a_second_pass_over_the_same_prompt(wan, caching, model, traces, level):
    import comfy.samplers

    def guide(args):
        cond, x, sigma = args["cond"], args["input"] * 0.8, args["sigma"]
        options = args["model_options"]
        (weak,) = comfy.samplers.calc_cond_batch(args["model"], [cond], x, sigma, options)
        return args["denoised"] + 0.5 * (args["cond_denoised"] - weak)

    guided = model.clone()
    guided.set_model_sampler_post_cfg_function(guide)
    plain = wan.sample(guided)
    assert torch.equal(plain, wan.sample(caching.cached(guided, 0.0, level)))
    cached = caching.cached(guided, level=level, max_consecutive_skips=1)
    caching.assert_reuse_is_exact(wan.evaluated_twice(cached, steps=5), level)
    assert caching.actions(traces[1]) == "CCRR" * 5


FRAMES = {"size": (7, 8, 8)}


@pytest.fixture
def windowed(model):
    """``windowed(schedule)``: the model, seeing 4 of the 7 latent frames at a time."""
    from comfy_extras.nodes_context_windows import WanContextWindowsManualNode

    def with_windows(schedule):
        return WanContextWindowsManualNode.execute(
            model, context_length=13, context_overlap=5, context_schedule=schedule,
            context_stride=1, closed_loop=False, fuse_method="pyramid", freenoise=False,
        ).args[0]  # fmt: skip

    return with_windows


@pytest.mark.parametrize("level", LEVELS)
def test_windows(wan, caching, model, windowed, traces, level):
    fixed = windowed("standard_static")
    plain = wan.sample(fixed, **FRAMES)
    assert not torch.equal(plain, wan.sample(model, **FRAMES))
    assert torch.equal(plain, wan.sample(caching.cached(fixed, 0.0, level), **FRAMES))
    for records in caching.evaluations(traces[0])[1:]:
        metrics = [record.metric for record in records if record.branch == "cond"]
        assert len(set(metrics)) == len(metrics) > 1

    cached = caching.cached(fixed, level=level, max_consecutive_skips=1)
    caching.assert_reuse_is_exact(wan.evaluated_twice(cached, steps=5, **FRAMES), level)
    windows = len(traces[1].records) // 20
    assert caching.actions(traces[1]) == ("C" * windows + "R" * windows) * 5


@pytest.mark.parametrize("level", LEVELS)
def test_windows_that_move_reuse_only_what_they_have_seen(wan, caching, windowed, traces, level):
    from comfy.patcher_extension import WrappersMP

    seen = []

    def look(executor, *args, **kwargs):
        options = args[5]
        seen.extend([tuple(options["context_window"].index_list)] * len(options["uuids"]))
        return executor(*args, **kwargs)

    moving = windowed("standard_uniform")
    moving.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "test", look)
    wan.sample(caching.cached(moving, level=level), **FRAMES)
    records = traces[0].records
    reused = [index for index, record in enumerate(records) if record.action.value == "reuse"]
    assert len(seen) == len(records)
    assert reused
    assert all(seen[index] in seen[:index] for index in reused)
    first_seen = [index for index, window in enumerate(seen) if window not in seen[:index]]
    assert records[first_seen[-1]].evaluation > 0
