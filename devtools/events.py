"""Collects the messages a ComfyUI sends over its web socket."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from websocket import ABNF, WebSocketException, create_connection

from .errors import DevError

CONNECT_SECONDS = 30.0
PROGRESS_TEXT = 3
"""The host's number for binary messages that put text on a node."""


@dataclass(frozen=True)
class Event:
    """One message, and when it came (time.monotonic)."""

    at: float
    type: str
    data: dict[str, Any]


class EventReader:
    """Collects the messages for one client id in the background; use it in a `with`."""

    def __init__(self, url: str, client_id: str) -> None:
        self.events: list[Event] = []
        address = f"{url.replace('http', 'ws', 1)}/ws?clientId={client_id}"
        self._socket = create_connection(address, timeout=CONNECT_SECONDS)
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def __enter__(self) -> EventReader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.abort()  # wakes the thread, which a plain close would not
        self._thread.join()
        self._socket.shutdown()

    def of_type(self, kind: str) -> list[Event]:
        """The messages of one type so far."""
        return [event for event in list(self.events) if event.type == kind]

    def node_seconds(self, prompt_id: str) -> dict[str, float]:
        """How long each node of a finished workflow took."""
        marks = [e for e in self.of_type("executing") if e.data.get("prompt_id") == prompt_id]
        return {mark.data["node"]: following.at - mark.at for mark, following in pairwise(marks)}

    def wait_for_end(self, prompt_id: str, timeout: float = 10.0) -> None:
        """Waits for the last message about a workflow, which may come after its history."""
        deadline = time.monotonic() + timeout
        while not self._ended(prompt_id):
            if time.monotonic() > deadline:
                raise DevError("ComfyUI did not say that the workflow ended.")
            time.sleep(0.02)

    def _ended(self, prompt_id: str) -> bool:
        said = [e.data for e in self.of_type("executing") if e.data.get("prompt_id") == prompt_id]
        return bool(said) and said[-1].get("node") is None

    def _collect(self) -> None:
        while True:
            try:
                code, payload = self._socket.recv_data()
            except (WebSocketException, OSError):
                return  # closed, by us or by the server
            if code == ABNF.OPCODE_TEXT:
                message = json.loads(payload)
                self._keep(message["type"], message.get("data") or {})
            elif code == ABNF.OPCODE_BINARY and payload[:4] == PROGRESS_TEXT.to_bytes(4, "big"):
                self._keep("progress_text", _progress_text(payload[4:]))

    def _keep(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append(Event(time.monotonic(), kind, data))


def _progress_text(payload: bytes) -> dict[str, Any]:
    """Node id and text; the id comes first, after its length."""
    size = int.from_bytes(payload[:4], "big")
    node, text = payload[4 : 4 + size], payload[4 + size :]
    return {"node": node.decode(), "text": text.decode()}
