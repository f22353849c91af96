"""The prompt that is being queued, for checks of a node that need to know the whole graph."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from comfy_execution.utils import get_executing_context
from server import PromptServer

from .downstream import schedule_steps

QUEUED: ContextVar[dict[str, Any] | None] = ContextVar("wan_step_cache_queued", default=None)
"""The prompt of the request under way: the host validates in the task that got it."""


def listen() -> None:
    """Have the host show every prompt before it validates it; no effect without a server."""
    server = getattr(PromptServer, "instance", None)
    if server is not None and remember not in server.on_prompt_handlers:
        server.add_on_prompt_handler(remember)


def remember(request: dict[str, Any]) -> dict[str, Any]:
    """Keep the prompt of a request, which goes on unchanged."""
    QUEUED.set(request.get("prompt"))
    return request


def steps_ahead() -> int | None:
    """Steps of the schedule that the options of the node being validated are for; None: unknown."""
    prompt, context = QUEUED.get(), get_executing_context()
    if not prompt or context is None:
        return None
    return schedule_steps(prompt, context.node_id)
