"""What the server tells browsers while a model samples."""

import uuid
from itertools import pairwise

import pytest
from graph import cached, plain, traces

from devtools.events import EventReader

pytestmark = pytest.mark.server
MESSAGE = "wan_step_cache.timeline"
NEWS = 0.1
"""Seconds between two messages at least, those apart that have to be told."""


@pytest.fixture(scope="module")
def told(server):
    """The messages of one run to who queued it, those to another browser, and the trace."""
    graph = cached(plain(seed=451, steps=20))
    graph["cache"]["class_type"] = "WanStepCache_TaylorSeer"
    graph["cache"]["inputs"] = {
        "model": ["shift", 0], "preset": "balanced", "interval": 3, "max_order": 1,
        "first_enhance": 3,
    }  # fmt: skip
    clients = uuid.uuid4().hex, uuid.uuid4().hex
    with EventReader(server.url, clients[0]) as mine, EventReader(server.url, clients[1]) as others:
        prompt = server.queue(graph, clients[0])
        server.wait(prompt)
        mine.wait_for_end(prompt)
        heard = mine.of_type(MESSAGE), others.of_type(MESSAGE)
    (trace,) = traces(server, prompt)
    return *heard, trace, prompt


def test_only_the_browser_that_queued_hears_of_it(told):
    mine, others, _, prompt = told
    assert others == [] and len(mine) > 2
    assert {event.data["prompt"] for event in mine} == {prompt}
    assert {tuple(event.data["nodes"]) for event in mine} == {("cache",)}


def test_the_plan_is_told_before_the_first_step(told):
    mine, _, trace, _ = told
    first = mine[0].data["nodes"]["cache"]
    assert first["branches"] == {} and not first["done"]
    assert first["plan"] == trace["methods"][0]["plan_by_step"] and len(first["plan"]) == 20


def test_the_last_message_is_the_whole_run(told):
    mine, _, trace, _ = told
    shown = [event.data["nodes"]["cache"] for event in mine]
    assert [run["done"] for run in shown] == [False] * (len(shown) - 1) + [True]
    for branch, counted in trace["summary"]["branches"].items():
        row = shown[-1]["branches"][branch]["row"]
        assert sum(row.count(letter) for letter in "RF") == counted["reused"]
        assert len(row) == 20 and "." not in row


def test_steps_are_told_in_order_and_not_too_often(told):
    mine = [event for event in told[0] if not event.data["nodes"]["cache"]["done"]][1:]
    reached = [len(e.data["nodes"]["cache"]["branches"]["cond"]["row"].rstrip(".")) for e in mine]
    assert reached == sorted(set(reached))
    since = mine[-1].at - mine[0].at
    assert len(mine) <= since / NEWS + 1.5, [b.at - a.at for a, b in pairwise(mine)]


def test_without_a_browser_nothing_is_sent_and_nothing_breaks(server):
    graph = cached(plain(seed=452))
    prompt = server.queue(graph)
    assert server.wait(prompt)["status"]["status_str"] == "success"
    assert len(traces(server, prompt)) == 1
