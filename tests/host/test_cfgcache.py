"""CFG Cache on the real host: what does not run, what stands in its place, what it works with."""

import pytest
import torch

STEPS = 12
GUIDED = "guidance difference"


@pytest.fixture
def guided(part, pack):
    """The model behind Apply CFG Cache."""
    from watching import execute

    node = part("nodes.cfgcache").ApplyCFGCache
    options = part("cache_core").Options

    def apply(model, interval=3, start=0.0, end=1.0, weights=(1.0, 1.0), **chosen):
        chosen.setdefault("on_few_steps", "allow")
        low, high = weights
        return execute(
            node, model=model, preset="custom", interval=interval, start_percent=start,
            end_percent=end, low_frequency_weight=low, high_frequency_weight=high,
            options=options(**chosen),
        )[0]  # fmt: skip

    return apply


@pytest.mark.every_host
def test_an_interval_of_one_changes_no_bit(wan, model, guided, traces):
    assert torch.equal(wan.sample(model, STEPS), wan.sample(guided(model, 1), STEPS))
    assert traces[0].counts()["uncond"] == {"computed": STEPS, "reused": 0}


@pytest.mark.every_host
def test_uncond_that_is_skipped_costs_no_row(wan, model, guided, caching, traces):
    watched, calls = caching.seeing(model)
    wan.sample(guided(watched, 3), STEPS)
    assert [len(call.branches) for call in calls] == [2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 2]
    assert caching.actions(traces[0]) == "C" * STEPS
    assert caching.actions(traces[0], "uncond") == "CRRCRRCRRCRC"
    full = ["warm-up", "interval over", "interval over", "interval over", "last steps"]
    assert [r for r in caching.reasons(traces[0], "uncond") if r != GUIDED] == full
    assert {r.method for r in traces[0].records if r.reason.value == GUIDED} == {"CFG Cache"}
    assert traces[0].failsafes() == {}


def test_uncond_is_cond_and_the_last_difference(wan, model, guided, caching):
    watched, calls = caching.seeing(model)
    results = []
    cached = guided(watched, 3, forecast="hold")
    wan.sample(cached, STEPS, callback=lambda step, denoised, x, total: results.append(denoised))
    expected, difference = [], None
    for call in calls:
        cond = call.output.chunk(len(call.branches))[call.branches.index(0)]
        if 1 in call.branches:
            difference = call.output.chunk(2)[call.branches.index(1)] - cond
        latent = call.latent[-1:]
        expected.append(latent - call.sigma * (cond + (1 - 5.0) * difference))
    torch.testing.assert_close(torch.cat(results), torch.cat(expected), rtol=1e-4, atol=1e-4)


def test_weights_of_the_bands_have_an_effect(wan, model, guided):
    plain = wan.sample(guided(model), STEPS)
    assert not torch.equal(plain, wan.sample(guided(model, weights=(1.2, 1.0)), STEPS))
    assert torch.equal(plain, wan.sample(guided(model), STEPS))


@pytest.mark.parametrize(
    ("interval", "taken"), [(0, False), (1, True), (20, True), (21, False), (None, True)]
)
def test_an_interval_out_of_range_is_refused_before_queueing(part, interval, taken):
    """The host leaves the range to the node."""
    node = part("nodes.cfgcache").ApplyCFGCache
    told = node.validate_inputs(interval, 0.3, 1.0)
    words = f"`interval` is {interval}, but must be 1 (run both always) to 20."
    assert told == (True if taken else words)
    shown = node.GET_NODE_INFO_V1()["input"]["required"]["interval"][1]
    assert (shown["min"], shown["max"]) == (1, 20)


def test_without_guidance_nothing_is_done_and_said(wan, model, guided, traces):
    plain = wan.sample(model, 14, cfg=1.0)
    assert torch.equal(plain, wan.sample(guided(model), 14, cfg=1.0))
    assert any("no negative branch" in note for note in traces[0].notes)
    assert "uncond" not in traces[0].counts()


@pytest.mark.every_host
def test_branches_that_run_separately(wan, model, guided, caching, traces, run_separately):
    run_separately(model)
    watched, calls = caching.seeing(model)
    wan.sample(guided(watched, 4), STEPS)
    assert caching.actions(traces[0], "uncond") == "CRRRCRRRCRRC"
    assert sum(1 in call.branches for call in calls) == 4


class TestTimedNegatives:
    """Negative prompts that appear or vanish during the run."""

    @pytest.fixture
    def sampled(self, wan, monkeypatch):
        def run(model, *times):
            entries = [
                [text, {**extra, "start_percent": start, "end_percent": end}]
                for seed, (start, end) in enumerate(times, 2)
                for text, extra in wan.conditioning(seed)
            ]
            usual = wan.conditioning
            monkeypatch.setattr(
                wan, "conditioning", lambda seed: entries if seed == 2 else usual(seed)
            )
            return wan.sample(model, STEPS)

        return run

    def test_another_prompt_means_another_difference(self, sampled, model, guided, caching, traces):
        sampled(guided(model, 20), (0.0, 0.45), (0.45, 1.0))
        assert caching.actions(traces[0], "uncond") == "CRRRRRCRRRRC"
        assert traces[0].failsafes() == {}

    def test_one_that_appears(self, sampled, model, guided, caching, traces):
        sampled(guided(model, 20), (0.0, 1.0), (0.45, 1.0))
        uncond = [r for r in traces[0].records if r.branch == "uncond"]
        computed = [r.evaluation for r in uncond if r.action.value == "compute"]
        assert computed == [0, 6, 6, 11, 11]
        assert traces[0].failsafes() == {}


METHODS = ("FBCache", "TeaCache", "MagCache", "TaylorSeer", "AdaCache", "CustomCache", "EasyCache")


@pytest.mark.parametrize("level", ["output", "hidden"])
@pytest.mark.parametrize("name", METHODS)
def test_it_works_with_every_step_method(
    wan, model, guided, caching, traces, part, name, level
):
    cached = caching.with_method(name, model, level)
    chosen = part("nodes.host.keys").config_of(cached.model_options).options
    watched, calls = caching.seeing(guided(cached, 3, **vars(chosen)))
    wan.sample(watched, STEPS)
    uncond = caching.reasons(traces[0], "uncond")
    computed = caching.actions(traces[0]).count("C")
    assert traces[0].failsafes() == {}
    assert len(uncond) == STEPS
    assert 4 <= computed < STEPS
    if level == "output":
        assert sum(0 in call.branches for call in calls) == computed
    both = sum(r.branch == "uncond" and r.action.value == "compute" for r in traces[0].records)
    assert both < computed
    assert GUIDED in uncond


def test_a_reuse_after_a_computed_step_without_uncond_needs_no_uncond(
    wan, model, guided, caching, traces
):
    cached = caching.with_policies(
        model, caching.static("MagCache"), max_consecutive_skips=1, warmup_steps=2
    )
    wan.sample(guided(cached, 3, max_consecutive_skips=1, warmup_steps=2), STEPS)
    assert caching.actions(traces[0]) == "CCRCRCRCRCRC"
    letters = {GUIDED: "G", "below threshold": "R"}
    told = "".join(letters.get(why, "C") for why in caching.reasons(traces[0], "uncond"))
    assert told == "CCRGGGGCRGGC"


def test_context_windows_have_a_difference_each(wan, model, guided, traces):
    from comfy import context_windows

    windowed = model.clone()
    windowed.model_options["context_handler"] = context_windows.IndexListContextHandler(
        context_schedule=context_windows.get_matching_context_schedule("standard_static"),
        fuse_method=context_windows.get_matching_fuse_method("flat"),
        context_length=3,
        context_overlap=1,
        dim=2,
    )
    context_windows.create_prepare_sampling_wrapper(windowed)
    latents = wan.sample(guided(windowed, 3), STEPS, size=(7, 8, 8))
    assert torch.isfinite(latents).all()
    counts = traces[0].counts()
    windows = counts["cond"]["computed"] // STEPS
    assert windows > 1
    assert counts["uncond"]["computed"] == 5 * windows


def test_a_failure_of_ours_runs_both(wan, model, guided, part, traces, monkeypatch):
    def broken(*args):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(part("cache_core.guidance").Guidance, "restore", broken)
    plain = wan.sample(model, STEPS)
    found = wan.sample(guided(model), STEPS)
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-4)
    assert traces[0].failsafes()["error"] > 0


def test_nothing_is_left_after_a_run(wan, model, guided, traces):
    cached = guided(model)
    assert torch.equal(wan.sample(cached, STEPS), wan.sample(cached, STEPS))
    assert traces[0].counts() == traces[1].counts()


def test_what_it_keeps_is_what_the_host_was_told(wan, model, guided, traces, part, monkeypatch):
    memory = part("nodes.host.memory")
    known, footprint = [], memory.footprint
    monkeypatch.setattr(
        memory, "footprint", lambda *args: known.append(footprint(*args)) or known[-1]
    )
    wan.sample(guided(model), STEPS)
    assert traces[0].peak_bytes == known[0].total == 2 * 16 * 3 * 8 * 8 * 4


def test_an_out_of_memory_ends_it(wan, model, guided, part, traces, monkeypatch):
    def full(*args):
        raise torch.OutOfMemoryError("pretended")

    monkeypatch.setattr(part("cache_core.guidance").Guidance, "learn", full)
    assert torch.equal(wan.sample(guided(model), STEPS), wan.sample(model, STEPS))
    assert traces[0].counts()["uncond"]["reused"] == 0
