"""Talks to a running ComfyUI over HTTP, with the standard library alone."""

from __future__ import annotations

import json
import time
import uuid
from http.client import IncompleteRead
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from .errors import DevError

Json = dict[str, Any]
POLL_SECONDS = 0.1
REPLY_SECONDS = 60.0


class PromptRejected(DevError):
    """The host did not accept the workflow; `reply` is all that it said."""

    def __init__(self, reply: Json) -> None:
        super().__init__(f"ComfyUI rejected the workflow: {_complaints(reply)}")
        self.reply = reply


class ExecutionFailed(DevError):
    """A node raised, or the run was interrupted; `details` is what the host recorded."""

    def __init__(self, kind: str, details: Json) -> None:
        self.details = details
        self.node_id = str(details.get("node_id"))
        self.exception_type = str(details.get("exception_type", kind))
        self.message = str(details.get("exception_message", kind)).strip()
        node = f"node {self.node_id} ({details.get('node_type')})"
        super().__init__(f"{node} failed with {self.exception_type}: {self.message}")


class ComfyClient:
    """One ComfyUI at one address."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def get(self, path: str) -> bytes:
        """The body of a GET."""
        return self._send(Request(f"{self.url}{path}"))

    def get_json(self, path: str) -> Any:
        """The reply to a GET, decoded."""
        return json.loads(self.get(path))

    def post_json(self, path: str, body: Json) -> Any:
        """The reply to a POST of JSON, decoded; None if it is empty."""
        headers = {"Content-Type": "application/json"}
        request = Request(f"{self.url}{path}", json.dumps(body).encode(), headers)
        return json.loads(self._send(request) or b"null")

    def _send(self, request: Request) -> bytes:
        with urlopen(request, timeout=REPLY_SECONDS) as reply:
            try:
                body: bytes = reply.read()
            except IncompleteRead as error:
                raise ConnectionResetError(f"{request.full_url}: the reply broke off") from error
        return body

    def system_stats(self) -> Json:
        """Version, devices and memory of the host."""
        stats: Json = self.get_json("/system_stats")
        return stats

    def object_info(self, node: str | None = None) -> Json:
        """The declaration of one node (an error if there is none), or of all by name."""
        found: Json = self.get_json(f"/object_info/{quote(node)}" if node else "/object_info")
        if node and node not in found:
            raise DevError(f"ComfyUI at {self.url} has no node {node}.")
        return found[node] if node else found

    def queue(self, prompt: Json, client_id: str | None = None, **extra: Any) -> str:
        """Queues a workflow in API format and gives its prompt id."""
        return str(self.submit(prompt, client_id, **extra)["prompt_id"])

    def submit(self, prompt: Json, client_id: str | None = None, **extra: Any) -> Json:
        """Queues a workflow and gives the reply: `node_errors` names outputs that are left out."""
        body = {"prompt": prompt, "client_id": client_id or uuid.uuid4().hex, **extra}
        try:
            reply: Json = self.post_json("/prompt", body)
        except HTTPError as error:
            raise PromptRejected(_decoded(error)) from None
        return reply

    def wait(self, prompt_id: str, timeout: float = 600.0) -> Json:
        """The history entry of a workflow once it is done; an error if it failed."""
        deadline = time.monotonic() + timeout
        while (entry := self.history(prompt_id)) is None:
            if time.monotonic() > deadline:
                raise DevError(f"The workflow was not done after {timeout:g} s.")
            self.check()
            time.sleep(POLL_SECONDS)
        _raise_failure(entry)
        return entry

    def run(self, prompt: Json, timeout: float = 600.0) -> Json:
        """Queues a workflow and waits for it."""
        return self.wait(self.queue(prompt), timeout)

    def history(self, prompt_id: str) -> Json | None:
        """The history entry of a workflow, None while it is not done."""
        found: Json = self.get_json(f"/history/{quote(prompt_id)}")
        return found.get(prompt_id)

    def view(self, filename: str, subfolder: str = "", type: str = "output") -> bytes:
        """A file that a workflow wrote."""
        query = {"filename": filename, "subfolder": subfolder, "type": type}
        return self.get(f"/view?{urlencode(query)}")

    def interrupt(self) -> None:
        """Stops the workflow that is running."""
        self.post_json("/interrupt", {})

    def answers(self) -> bool:
        """Whether the host is up."""
        try:
            self.system_stats()
        except (URLError, OSError, ValueError):
            return False
        return True

    def check(self) -> None:
        """Raises if the host is known to be gone; a plain client cannot know."""


def _decoded(error: HTTPError) -> Json:
    text = error.read().decode("utf-8", "replace")
    try:
        reply: Json = json.loads(text)
    except ValueError:
        return {"error": {"message": f"HTTP {error.code}", "details": text[:500]}}
    return reply


def _complaints(reply: Json) -> str:
    """Everything the host has against a workflow, in one line."""
    general = reply.get("error", {})
    said = [general if isinstance(general, str) else _phrase(general)]
    for node, problems in (reply.get("node_errors") or {}).items():
        said += [f"{node}: {_phrase(problem)}" for problem in problems.get("errors", ())]
    return "; ".join(said)


def _phrase(problem: Json) -> str:
    parts = (problem.get("message"), problem.get("details"))
    return " - ".join(str(part) for part in parts if part)


def _raise_failure(entry: Json) -> None:
    for kind, details in entry.get("status", {}).get("messages", ()):
        if kind in ("execution_error", "execution_interrupted"):
            raise ExecutionFailed(kind, details)
