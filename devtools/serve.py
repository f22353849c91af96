"""`dev.py serve`: a real ComfyUI for use by hand."""

from __future__ import annotations

import os
import time

from .environment import Environment
from .errors import DevError
from .paths import home
from .progress import say
from .server import ComfyServer, free_port

DEFAULT_PORT = 8188
LAST_PORT = 65535


def serve(environment: Environment, port: int) -> int:
    """Runs until Ctrl+C; what the user saves stays for the next time."""
    os.environ.update(environment.variables())
    base = home() / "serve" / environment.version
    base.mkdir(parents=True, exist_ok=True)
    say(f"Starting ComfyUI {environment.version} ...")
    server = ComfyServer(environment.comfyui, environment.python, base=base, port=port)
    with server:
        say(f"ComfyUI is at {server.url} (files: {base}, log: {server.log}). Ctrl+C ends it.")
        say("Templates has the pack's workflows, and under tiny_wan one that any CPU renders.")
        try:
            while True:
                time.sleep(1)
                server.check()
        except KeyboardInterrupt:
            say("Stopping ...")
    return 0


def require_port(port: int) -> None:
    """Says that the port is none, or is taken, before anything is installed."""
    if not 0 <= port <= LAST_PORT:
        raise DevError(f"--port is {port}, but must be 0 (any free one) to {LAST_PORT}.")
    free_port(port)
