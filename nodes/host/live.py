"""What a run is doing, for the browser that queued it."""

from __future__ import annotations

import time

from comfy_execution.utils import get_executing_context
from server import PromptServer

from ...cache_core.snapshot import snapshot
from ...cache_core.trace import Trace
from .ledger import LEDGER

EVENT = "wan_step_cache.timeline"
SECONDS = 0.1
"""Between two messages of a run under way: more often nobody could look."""


class Pace:
    """Lets a message through now and then."""

    def __init__(self) -> None:
        self.last = float("-inf")

    def due(self, always: bool) -> bool:
        """True when the last one is long enough ago, or if this one has to be told."""
        now = time.monotonic()
        if not always and now - self.last < SECONDS:
            return False
        self.last = now
        return True


PACE = Pace()


def tell(trace: Trace, always: bool = False, done: bool = False) -> None:
    """Send the run as it stands to the browser that queued the prompt, if there is one.

    always: whatever the pace. done: it is over, in whichever way.
    """
    server, context = getattr(PromptServer, "instance", None), get_executing_context()
    if server is None or server.client_id is None or context is None:
        return
    if not PACE.due(always or done):
        return
    nodes = {
        method.node: snapshot(trace, method, done)
        for method in trace.methods
        if method.node is not None
    }
    message = {"prompt": context.prompt_id, "run": len(LEDGER.known()), "nodes": nodes}
    server.send_sync(EVENT, message, server.client_id)
