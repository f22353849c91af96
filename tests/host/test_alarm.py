"""The collapse alarm in real samplings: faults are injected, the rest of the run is computed."""

import pytest
import torch

STEPS = 12


@pytest.fixture
def runaway(part, monkeypatch):
    """Forecasts give four times of what they should."""
    forecast = part("cache_core.forecast").Forecast
    weights = forecast.weights

    def wrong(self, positions, at):
        return [4 * weight for weight in weights(self, positions, at)]

    monkeypatch.setattr(forecast, "weights", wrong)


@pytest.mark.parametrize("level", ["output", "hidden"])
@pytest.mark.parametrize("name", ["FBCache", "MagCache", "EasyCache", "TaylorSeer"])
def test_values_that_run_away_end_reuse(wan, caching, model, traces, runaway, name, level):
    options = {"level": level, "warmup_steps": 3, "forecast": "taylor"}
    cached = {
        "FBCache": lambda: caching.cached(model, **options),
        "MagCache": lambda: caching.with_policies(model, caching.static(name), **options),
    }.get(name, lambda: caching.applied(name, model, **options))()
    wan.sample(cached, STEPS)
    assert caching.actions(traces[0]) == "CCCR" + "C" * 8
    assert set(caching.reasons(traces[0])[4:]) == {"collapse alarm"}
    assert "collapse alarm" in traces[0].failsafes()
    assert any("times the magnitude" in note for note in traces[0].notes)


def test_the_trained_model_never_rings_it(wan, caching, host, traces):
    from importlib import import_module

    import comfy.sd
    from checkout import ROOT
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    path = ROOT / "tests" / "assets" / "tiny_wan" / "tiny_wan.safetensors"
    trained = ModelSamplingSD3().patch(comfy.sd.load_diffusion_model(str(path)), shift=5.0)[0]
    words = import_module("tiny_wan.words")
    way = {"positive": [[words.embed("blue cross fast"), {}]], "size": (5, 16, 16), "steps": 20}
    for level in ("output", "hidden"):
        cached = caching.cached(trained, 1.0, level, warmup_steps=4, max_consecutive_skips=6)
        assert torch.isfinite(wan.sample(cached, **way)).all()
    assert [trace.failsafes() for trace in traces] == [{}, {}]
    assert [caching.actions(trace).count("R") for trace in traces] == [14, 14]
