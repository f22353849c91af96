"""Wrong workflows are refused with the input, the value and the remedy."""

import pytest
from graph import cached, said

from devtools.client import PromptRejected

pytestmark = pytest.mark.server


def test_an_empty_window_is_refused_before_queueing(server):
    graph = cached(options={"start_percent": 0.8, "end_percent": 0.5})
    with pytest.raises(PromptRejected, match=r"`start_percent` is 0\.8, but must be below"):
        server.queue(graph)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("residual_diff_threshold", -0.1),
        ("residual_diff_threshold", 1.5),
        ("residual_diff_threshold", "fast"),
        ("preset", "turbo"),
        ("metric", "l3"),
        ("downsample", 0),
        ("ema", 1.0),
    ],
)
def test_a_bad_value_is_refused_before_queueing(server, name, value):
    with pytest.raises(PromptRejected, match=name):
        server.queue(cached(**{name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("start_percent", -0.1), ("end_percent", 1.1), ("warmup_steps", -2), ("cfg_mode", "uncond")],
)
def test_a_bad_option_is_refused_before_queueing(server, name, value):
    with pytest.raises(PromptRejected, match=name):
        server.queue(cached(options={name: value}))


def test_the_second_output_without_a_second_model_says_what_to_connect(server):
    graph = cached()
    graph["sampler"]["inputs"]["model"] = ["cache", 1]
    errors = [event.data["exception_message"] for event in said(server, graph)["execution_error"]]
    assert any("low_noise_model" in message for message in errors)
