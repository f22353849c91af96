"""Wrong workflows are refused with the input, the value and the remedy."""

import pytest
from graph import OPTIONS, STEPS, cached, experts, node, option_defaults, render, said

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


CONTRADICTIONS = [  # widgets, what the message names, the remedy
    (
        {"alternating": True, "max_consecutive_skips": 2},
        "`max_consecutive_skips` is 2",
        "0, 1 or left to the preset (-1) where `alternating` is on",
    ),
    ({"step_mask": "1-6", "warmup_steps": 3}, "`warmup_steps` is 3", "left to the preset (-1)"),
    ({"step_mask": "1-6", "last_steps": 0}, "`last_steps` is 0", "left to the preset (-1)"),
    (
        {"step_mask": "1-6", "max_consecutive_skips": 1},
        "`max_consecutive_skips` is 1",
        "left to the preset (-1)",
    ),
    ({"step_mask": "1-6", "alternating": True}, "`alternating` is True", "off where a `step_mask`"),
    ({"step_mask": "every second"}, "`step_mask` is 'every second'", "1 (compute), 0 (reuse)"),
    ({"step_mask": "0-3"}, "`step_mask` is '0-3'", "counted from 1"),
    ({"step_mask": "1" * 11}, "11 letters", f"has {STEPS} steps"),
    ({"step_mask": "1-6, 13"}, "`step_mask` is '1-6, 13', steps up to 13", f"has {STEPS} steps"),
]


def refusal(server, graph):
    """What the host says of the Options node of a workflow that it refuses, once for each input."""
    with pytest.raises(PromptRejected) as refused:
        server.queue(graph)
    (errors,) = refused.value.reply["node_errors"].values()
    return [error["details"] for error in errors["errors"]]


@pytest.mark.parametrize(("options", "named", "remedy"), CONTRADICTIONS)
def test_contradictions_are_refused_before_queueing(server, options, named, remedy):
    told = refusal(server, cached(options=options))
    assert told and all(named in details and remedy in details for details in told)


@pytest.mark.every_host
def test_the_length_of_a_mask_is_that_of_the_whole_schedule_of_two_experts(server):
    def masked(mask):
        graph = experts(cache=True)
        graph["options"] = node(OPTIONS, **option_defaults(), step_mask=mask)
        graph["cache"]["inputs"]["options"] = ["options", 0]
        return graph

    for wrong in ("1" * 9, "1-3, 21"):
        assert all("has 20 steps" in details for details in refusal(server, masked(wrong)))
    _, traces = render(server, masked("111001001 01001001001"))
    found = [
        "".join("C" if r["action"] == "compute" else "R" for r in trace["records"][::2])
        for trace in traces
    ]
    assert found == ["CCCRRCRRC", "CCRRCRRCRRC"]


def test_of_a_schedule_that_is_sampled_in_part_the_whole_counts(server):
    graph = cached(options={"step_mask": "1" * STEPS})
    graph["sampler"]["inputs"]["denoise"] = 0.5
    assert all("has 24 steps" in details for details in refusal(server, graph))


def test_where_the_steps_are_not_known_the_run_says_that_the_mask_is_wrong(server):
    graph = cached(options={"step_mask": "10100"})
    graph["steps"] = node("PrimitiveInt", value=STEPS)
    graph["sampler"]["inputs"]["steps"] = ["steps", 0]
    _, (trace,) = render(server, graph)
    assert trace["summary"]["branches"]["cond"] == {"computed": STEPS, "reused": 0}
    (note,) = trace["notes"]
    assert "5 letters" in note and f"{STEPS} steps" in note


def test_the_second_output_without_a_second_model_says_what_to_connect(server):
    graph = cached()
    graph["sampler"]["inputs"]["model"] = ["cache", 1]
    errors = [event.data["exception_message"] for event in said(server, graph)["execution_error"]]
    assert any("low_noise_model" in message for message in errors)
