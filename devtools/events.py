"""Reads the messages a ComfyUI sends over its web socket, with the standard library alone."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any
from urllib.parse import urlsplit

from .errors import DevError

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
CONNECT_SECONDS = 30.0


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
        self.client_id = client_id
        self._socket, self._stream = _connect(url, client_id)
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def __enter__(self) -> EventReader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._stream.close()
        self._socket.close()

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
        while (frame := _read_frame(self._stream)) is not None:
            code, payload = frame
            if code == PING:
                self._socket.sendall(_masked(PONG, payload))
            elif code == TEXT:
                message = json.loads(payload)
                data = message.get("data") or {}
                self.events.append(Event(time.monotonic(), message["type"], data))


def _connect(url: str, client_id: str) -> tuple[socket.socket, IO[bytes]]:
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), CONNECT_SECONDS)
    connection.settimeout(None)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET /ws?clientId={client_id} HTTP/1.1",
        f"Host: {address.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    )
    connection.sendall("\r\n".join((*lines, "", "")).encode())
    stream = connection.makefile("rb")
    status = stream.readline().decode("latin-1").strip()
    if " 101 " not in f"{status} ":
        raise DevError(f"ComfyUI refused the web socket: {status}.")
    while stream.readline().strip():
        pass
    return connection, stream


def _read_frame(stream: IO[bytes]) -> tuple[int, bytes] | None:
    """The code and payload of the next frame, None at the end of the connection."""
    head = stream.read(2)
    if len(head) < 2 or head[0] & 15 == CLOSE:
        return None
    length = head[1] & 127
    if length > 125:
        layout, size = ("!H", 2) if length == 126 else ("!Q", 8)
        (length,) = struct.unpack(layout, stream.read(size))
    return head[0] & 15, stream.read(length)


def _masked(code: int, payload: bytes) -> bytes:
    """A short frame from a client, with the mask that the protocol demands."""
    mask = os.urandom(4)
    body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes((128 | code, 128 | len(payload))) + mask + body
