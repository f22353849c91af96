"""Telling people what a run did: log line, text on the node, JSON file."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import folder_paths
from comfy_execution.utils import get_executing_context
from server import PromptServer

from ...cache_core import CacheConfig, Run
from ...cache_core.report import node_text, record_line, summary_line

log = logging.getLogger(__name__)
FOLDER = "wan_step_cache"
"""Subfolder of the host's temp folder that holds <prompt id>.json, a list of the prompt's runs."""


def report_evaluation(run: Run) -> None:
    """One line per branch of the evaluation that just ended."""
    level = logging.INFO if run.config.options.verbose else logging.DEBUG
    if log.isEnabledFor(level):
        for record in run.trace.latest():
            log.log(level, "Wan Step Cache: %s", record_line(record, run.trace.steps))


def publish(run: Run) -> None:
    """The run is over: log it, show it on its nodes, write it to the prompt's file."""
    config, trace = run.config, run.trace
    log.info("Wan Step Cache: %s", summary_line(config, trace))
    server = getattr(PromptServer, "instance", None)
    if getattr(server, "client_id", None) is not None:
        for method in config.methods:
            if method.node_id is not None:
                text = node_text(method, trace)
                server.send_progress_text(text, method.node_id, server.client_id)
    context = get_executing_context()
    if context is not None:
        append_trace(context.prompt_id, {**described(config), **trace.as_json()})


def described(config: CacheConfig) -> dict[str, Any]:
    """The model and the methods with their numbers, as plain values."""
    methods = [
        {
            "method": method.policy.name,
            "preset": method.preset,
            "numbers": method.policy.describe(),
            "source": method.source,
            "node": method.node_id,
        }
        for method in config.methods
    ]
    level = "hidden" if config.options.cache_level == "hidden" else "output"
    return {"model": config.model, "cache_level": level, "methods": methods}


def append_trace(prompt_id: str, trace: dict[str, Any]) -> None:
    """Add one run to the prompt's file; a full or read-only disk costs the file, not the render."""
    folder = Path(folder_paths.get_temp_directory()) / FOLDER
    path = folder / f"{Path(prompt_id).name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        runs = json.loads(path.read_text()) if path.exists() else []
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps([*runs, trace], indent=1))
        partial.replace(path)
    except OSError as error:
        log.warning("Wan Step Cache: could not write %s: %s", path, error)
