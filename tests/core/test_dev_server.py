"""The server driver and the demo's report, without a host."""

import json
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from devtools import serve, server
from devtools.client import ComfyClient, ExecutionFailed, PromptRejected
from devtools.demo_report import measure, psnr, reused_cost, steps, table
from devtools.demo_workflow import defaults
from devtools.errors import DevError
from devtools.events import Event, EventReader


class TestServer:
    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind((server.ADDRESS, 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(DevError, match=f"Port {port} is not free"):
                server.free_port(port)

    @pytest.mark.parametrize("port", [-1, 65536, 99999])
    def test_no_port(self, port):
        with pytest.raises(DevError, match=f"--port is {port}, but must be 0 .* to 65535"):
            serve.require_port(port)

    def test_any_port(self):
        serve.require_port(0)
        assert server.free_port() > 0

    def test_place_replaces_what_is_there(self, tmp_path):
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "name").write_text(name)
            server.place(tmp_path / name, tmp_path / "custom_nodes" / "pack")
        assert (tmp_path / "custom_nodes" / "pack" / "name").read_text() == "second"
        assert (tmp_path / "first" / "name").exists()

    def test_a_host_that_dies_shows_its_log(self, tmp_path):
        (tmp_path / "main.py").write_text("raise SystemExit('no such model')")
        comfy = server.ComfyServer(tmp_path, Path(sys.executable), packs={})
        with pytest.raises(DevError, match="no such model"):
            comfy.start()
        assert not comfy.base.exists()


class TestClient:
    def test_rejection_names_node_and_input(self):
        problem = {"message": "Value not in list", "details": "preset: 'x'"}
        reply = {"error": {"message": "invalid"}, "node_errors": {"7": {"errors": [problem]}}}
        assert str(PromptRejected(reply)).endswith("invalid; 7: Value not in list - preset: 'x'")

    def test_failure_names_node_and_exception(self, monkeypatch):
        details = {"node_id": "3", "node_type": "KSampler"}
        details |= {"exception_type": "ValueError", "exception_message": "bad\n"}
        entry = {"status": {"messages": [["execution_error", details]]}}
        monkeypatch.setattr(ComfyClient, "history", lambda self, prompt_id: entry)
        with pytest.raises(ExecutionFailed) as failed:
            ComfyClient("http://nowhere").wait("id")
        assert (failed.value.node_id, failed.value.exception_type) == ("3", "ValueError")
        assert failed.value.message == "bad"

    def test_waiting_ends(self, monkeypatch):
        monkeypatch.setattr(ComfyClient, "history", lambda self, prompt_id: None)
        with pytest.raises(DevError, match="not done after 0 s"):
            ComfyClient("http://nowhere").wait("id", timeout=0)

    def test_nobody_answers(self):
        assert not ComfyClient(f"http://127.0.0.1:{server.free_port()}").answers()


class TestEvents:
    def test_seconds_of_each_node(self):
        reader = EventReader.__new__(EventReader)
        nodes = (("a", 1.0), ("b", 1.5), (None, 4.0))
        reader.events = [
            Event(at, "executing", {"prompt_id": "p", "node": node}) for node, at in nodes
        ]
        assert reader.node_seconds("p") == {"a": 0.5, "b": 2.5}


def _record(step, branch, action, seconds):
    return {"step": step, "branch": branch, "action": action, "seconds": seconds}


class TestReport:
    records = (
        _record(0, "cond", "compute", 1.0),
        _record(0, "uncond", "compute", 1.0),
        _record(1, "cond", "reuse", 0.1),
        _record(1, "uncond", "reuse", 0.1),
        _record(2, "cond", "reuse", 0.1),
        _record(2, "uncond", "compute", 1.0),
    )

    def test_a_step_is_reused_only_if_every_branch_is(self):
        assert steps(self.records) == {"steps_computed": 2, "steps_reused": 1}

    def test_cost_of_a_reused_step(self):
        assert reused_cost(self.records) == pytest.approx(0.1)
        assert reused_cost(self.records[:2]) is None

    def test_psnr(self):
        numpy = pytest.importorskip("numpy")
        black = numpy.zeros((2, 4, 4, 3), "uint8")
        assert psnr(black, black) == float("inf")
        assert psnr(black, black + 255) == pytest.approx(0.0)

    def test_identical_clips_make_valid_json(self):
        numpy = pytest.importorskip("numpy")

        trace = {"summary": {"peak_cache_bytes": 2048}, "records": list(self.records)}
        render = SimpleNamespace(seconds=1.0, trace=trace)
        clip = numpy.zeros((2, 4, 4, 3), "uint8")
        report = measure([("text", 1)], [(render, render)], [(clip, clip)], "0.30.0")
        json.dumps(report, allow_nan=False)
        assert "identical" in table(report)

    def test_defaults_as_the_browser_fills_them_in(self):
        declared = {"model": ["MODEL"], "preset": [["a", "b"], {"default": "b"}], "x": ["INT", {}]}
        assert defaults(declared) == {"preset": "b"}
