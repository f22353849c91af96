"""Step Cache Report: which samplings it tells of, on the real host."""

import gc
import json
import weakref
from importlib import import_module

import pytest
import torch

STEPS, SWITCH = 20, 9
LATENT, TIMELINE, TEXT, JSON = range(4)


@pytest.fixture(scope="module")
def models(wan):
    """Two tiny Wans with different weights."""
    return {"high": wan.random_wan(seed=1), "low": wan.random_wan(seed=2)}


@pytest.fixture
def prompt(host, archive):
    """Whatever runs within ``prompt(id)`` belongs to that prompt."""
    from comfy_execution.utils import CurrentNodeContext

    return lambda prompt_id: CurrentNodeContext(prompt_id, "3")


@pytest.fixture
def archive(part, monkeypatch):
    """No sampling is remembered when a test starts."""
    module = part("nodes.host.archive")
    monkeypatch.setattr(module, "MOST", 5)
    monkeypatch.setattr(module.ARCHIVE, "kept", module.Archive().kept)
    return module.ARCHIVE


@pytest.fixture
def execute(pack):
    """Runs a node: ``tests/support/watching.py``."""
    return import_module("watching").execute


@pytest.fixture
def report(part, execute):
    """What the node says with a model: its outputs."""
    node = part("nodes.report").StepCacheReport
    return lambda model, latent=None: execute(node, latent=latent, model=model)


@pytest.fixture
def apply(part, execute):
    """The models of Apply TaylorSeer: ``apply(high, low)``; ``node_id``: the node it is."""
    node = part("nodes.taylorseer").ApplyTaylorSeer
    allowed = part("cache_core").Options(on_few_steps="allow")
    numbers = {"preset": "custom", "interval": 4, "first_enhance": 2, "last_steps": 0}

    def applied(model, low=None, node_id="7", **more):
        both = {"model": model, "low_noise_model": low, "options": allowed, **numbers, **more}
        return execute(node, node_id=node_id, **both)

    return applied


def half(wan, model, first, last, latent=None):
    """A part of a schedule, as KSamplerAdvanced samples it."""
    more = {} if latent is None else {"latent": latent}
    return wan.sample(
        model, STEPS, **more, start_step=first, last_step=last,
        disable_noise=first > 0, force_full_denoise=last == STEPS,
    )  # fmt: skip


def numbers(told):
    return json.loads(told[JSON])


def shape(told):
    """How many samplings each schedule has, and the steps of each."""
    schedules = numbers(told)["schedules"]
    return [[run["summary"]["steps"] for run in schedule] for schedule in schedules]


def test_one_model_is_told_as_its_trace_says(wan, models, apply, report, prompt, traces):
    model = apply(models["high"])[0]
    with prompt("one"):
        latent = {"samples": wan.sample(model, 8)}
        told = report(model, latent)
    assert told[LATENT] is latent
    assert numbers(told)["schedules"] == [[json.loads(json.dumps(traces[0].as_json()))]]
    summary = traces[0].summary()
    assert numbers(told)["together"]["branches"] == summary["branches"]
    assert summary["branches"]["cond"]["reused"] == "CCRRRCRR".count("R")
    for words in ("cond 5 of 8 reused, uncond 5 of 8 reused", "TaylorSeer custom: 1 step in 4",
                  "computed 6 of 16: warm-up 4", traces[0].model, "failsafes: none"):  # fmt: skip
        assert words in told[TEXT]


def test_the_picture_has_the_colours_of_what_happened(wan, models, apply, report, prompt, part):
    model = apply(models["high"])[0]
    with prompt("picture"):
        wan.sample(model, 8)
        told = report(model)
    picture, looks = told[TIMELINE], part("nodes.drawing.palette").LOOKS
    assert picture.dtype == torch.float32 and picture.shape[0] == 1 and picture.shape[3] == 3
    assert picture.shape[2] == 1200 and 0 <= picture.min() < picture.max() <= 1
    pixels = (picture[0] * 255).round().int()
    seen = {letter: area(pixels, look.fill) for letter, look in looks.items()}
    assert seen["F"] > seen["M"] > seen["C"] > 1000 and seen["X"] == seen["R"] == 0


def area(pixels, colour):
    """How many pixels have a colour."""
    wanted = torch.tensor([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((pixels == wanted).all(-1).sum())


@pytest.mark.parametrize("connected", [0, 1], ids=["high", "low"])
def test_two_experts_are_one_schedule_whichever_is_connected(
    wan, models, apply, report, prompt, connected
):
    pair = apply(models["high"], models["low"])
    with prompt("pair"):
        latent = half(wan, pair[0], 0, SWITCH)
        half(wan, pair[1], SWITCH, STEPS, latent)
        told = report(pair[connected])
    assert shape(told) == [[SWITCH, STEPS - SWITCH]]
    assert told[TEXT].startswith("both experts: cond ")
    assert told[TEXT].count("high noise") and told[TEXT].count("low noise")
    assert numbers(told)["together"]["branches"]["cond"][
        "computed"
    ] == "CCRRRCRRR CCRRRCRRRCR".count("C")
    assert numbers(told)["note"] == ""


def test_experts_with_a_node_each_are_told_together(wan, models, apply, report, prompt):
    high = apply(models["high"], node_id="7")[0]
    low = apply(models["low"], node_id="8", interval=2)[0]
    with prompt("a node each"):
        half(wan, low, SWITCH, STEPS, half(wan, high, 0, SWITCH))
        assert shape(report(high)) == shape(report(low)) == [[SWITCH, STEPS - SWITCH]]


def test_several_samplers_of_a_prompt_are_several_schedules(wan, models, apply, report, prompt):
    model = apply(models["high"])[0]
    with prompt("several"):
        wan.sample(model, 8)
        half(wan, model, 0, 4)
        half(wan, model, 4, STEPS)
        told = report(model)
    assert shape(told) == [[8], [4, 16]]
    assert told[TEXT].startswith("3 samplings: cond ")


def test_what_another_node_did_is_not_told(wan, models, apply, report, prompt):
    mine, other = apply(models["high"])[0], apply(models["high"], node_id="9")[0]
    with prompt("two methods"):
        wan.sample(mine, 8)
        wan.sample(other, 10)
        assert shape(report(mine)) == [[8]]
        assert shape(report(other)) == [[10]]


def test_only_the_newest_prompt_is_told_of(wan, models, apply, report, prompt):
    model = apply(models["high"])[0]
    for steps in (8, 10):
        with prompt(f"{steps} steps"):
            wan.sample(model, steps)
            assert shape(report(model)) == [[steps]]


def test_a_sampler_that_did_not_run_again_is_still_told_of(wan, models, apply, report, prompt):
    pair = apply(models["high"], models["low"])
    with prompt("first"):
        half(wan, pair[1], SWITCH, STEPS, half(wan, pair[0], 0, SWITCH))
    with prompt("second"):
        told = report(pair[0])
    assert shape(told) == [[SWITCH, STEPS - SWITCH]]
    assert numbers(told)["note"].startswith("2 of 2 samplings ran in an earlier prompt")
    with prompt("third"):
        half(wan, pair[1], SWITCH, STEPS)
        told = report(pair[0])
    assert shape(told) == [[SWITCH, STEPS - SWITCH]]
    assert told[TEXT].startswith("1 of 2 samplings ran in an earlier prompt")


def test_a_model_without_a_cache_is_explained(models, report, prompt):
    latent = {"samples": torch.zeros(1)}
    told = report(models["high"], latent)
    assert told[LATENT] is latent and shape(told) == []
    assert "Connect the output of an Apply node" in told[TEXT]
    assert told[TIMELINE].shape[2] == 1200


@pytest.mark.parametrize("changed", [{"node_id": "12"}, {"interval": 3}], ids=["node", "number"])
def test_a_model_that_was_not_sampled_is_explained(wan, models, apply, report, prompt, changed):
    with prompt("others"):
        wan.sample(apply(models["high"])[0], 8)
        told = report(apply(models["high"], **changed)[0])
    assert shape(told) == [] and "change the seed" in told[TEXT]


def test_calibrating_is_told_as_no_sampling(wan, models, apply, report, prompt, part, execute):
    node = part("nodes.calibrate").MagCacheCalibrate
    with prompt("calibrating"):
        model = execute(node, model=apply(models["high"])[0], name="report", overwrite=True)[0]
        wan.sample(model, 4)
        assert "MagCache Calibrate" in report(model)[TEXT]


def test_an_interrupted_sampling_is_not_told_of(wan, models, apply, report, prompt):
    model = apply(models["high"])[0]

    def stop(step, *_):
        if step == 4:
            raise KeyboardInterrupt

    with prompt("stopped"):
        with pytest.raises(KeyboardInterrupt):
            wan.sample(model, 8, callback=stop)
        assert shape(report(model)) == []


def test_samplings_are_kept_in_numbers_and_few_of_them(wan, caching, archive, prompt):
    own = wan.random_wan(seed=3, num_layers=2)
    weights, model = weakref.ref(own.model), caching.cached(own)
    with prompt("many"):
        for _ in range(7):
            wan.sample(model, 2)
    kept = list(archive.kept)
    assert len(kept) == 5
    json.dumps([one.trace for one in kept])
    del own, model
    gc.collect()
    assert weights() is None


def test_there_is_a_limit_to_what_is_kept(part):
    module = part("nodes.host.archive")
    assert module.ARCHIVE.kept.maxlen == module.MOST <= 64


def test_a_report_that_fails_costs_no_render(models, apply, report, part, monkeypatch, caplog):
    monkeypatch.setattr(part("nodes.report"), "timeline", lambda overview: 1 / 0)
    latent = {"samples": torch.zeros(1)}
    told = report(apply(models["high"])[0], latent)
    assert told[LATENT] is latent and told[TIMELINE].shape == (1, 64, 64, 3)
    assert "could not be made" in told[TEXT] and told[JSON] == "{}"
    assert any("could not be made" in record.message for record in caplog.records)
