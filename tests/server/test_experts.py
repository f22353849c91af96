"""Two experts in two and in three samplers: what the log and the nodes say of the whole."""

import uuid
from collections import Counter

import pytest
from graph import experts, traces

from cache_core.merged import merged, whole
from devtools.events import EventReader

pytestmark = pytest.mark.server
GUARDS = {"warmup_steps": 3, "last_steps": 0}
WORKFLOWS = {"pair": {}, "high in two": {4: "high"}, "low in two": {14: "low"}}


@pytest.fixture(scope="module", params=list(WORKFLOWS))
def told(server, request):
    """Of one workflow: its name, the texts of its Apply node, its log lines, its runs."""
    before = len(server.log_text())
    graph = experts(cache=True, options=GUARDS, more=WORKFLOWS[request.param])
    client = uuid.uuid4().hex
    with EventReader(server.url, client) as events:
        prompt_id = server.queue(graph, client)
        server.wait(prompt_id)
        events.wait_for_end(prompt_id)
        shown = [e.data["text"] for e in events.of_type("progress_text")]
    log = server.log_text()[before:]
    mark = "Wan Step Cache: "
    lines = [line.split(mark)[1] for line in log.splitlines() if mark in line]
    return request.param, shown, lines, traces(server, prompt_id)


def test_the_last_line_and_text_add_up_all_runs(told):
    name, shown, lines, runs = told
    assert len(runs) == (2 if name == "pair" else 3)
    phrases = whole(merged([run["summary"] for run in runs]), experts=2, samplings=len(runs))
    assert lines[-1] == " | ".join(phrases)
    assert [line.rstrip(".") for line in shown[-1].splitlines()[:3]] == phrases
    reused = sum(run["summary"]["branches"]["cond"]["reused"] for run in runs)
    assert 0 < reused < 17
    assert f"cond {reused} of 20 reused" in lines[-1]


def test_the_text_has_the_numbers_of_every_part(told):
    _, shown, _, runs = told
    rest = "\n".join(shown[-1].splitlines()[3:])
    assert rest.count("custom: residual_rel_l1 < 0.12") == len(runs)
    assert [rest.count(f"{name} noise (") > 0 for name in ("high", "low")] == [True, True]
    first = [run["records"][0]["sigma"] for run in runs]
    starts = [line for line in rest.splitlines() if line.startswith("sigma ")]
    assert [float(line.split()[1]) for line in starts] == pytest.approx(first, abs=1e-3)


def test_the_warm_up_is_made_once_for_each_expert(told):
    *_, runs = told
    warm = Counter()
    for run in runs:
        reasons = [r["reason"] for r in run["records"] if r["branch"] == "cond"]
        warm["high" if "high noise" in run["model"] else "low"] += reasons.count("warm-up")
        assert run["records"][0]["action"] == "compute"
        assert run["summary"]["failsafes"] == {}
    assert warm == {"high": 3, "low": 3}
