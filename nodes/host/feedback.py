"""Telling people what a run did: log line, text on the node, JSON file."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import folder_paths
from comfy_execution.utils import get_executing_context
from server import PromptServer

from ...cache_core import Run
from ...cache_core.merged import merged, whole
from ...cache_core.report import (
    costs_text,
    node_text,
    plan_line,
    plan_text,
    record_line,
    summary_line,
)
from ...cache_core.tables import summary_table
from ...cache_core.trace import Trace
from .ledger import Finished

log = logging.getLogger(__name__)
FOLDER = "wan_step_cache"
"""Subfolder of the host's temp folder that holds <prompt id>.json, a list of the prompt's runs."""


def report_evaluation(run: Run) -> None:
    """One line per branch of the evaluation that just ended."""
    level = detail(run)
    if log.isEnabledFor(level):
        for record in run.trace.latest():
            log.log(level, "Wan Step Cache: %s", record_line(record, run.trace.steps))


def report_table(run: Run) -> None:
    """The totals of the run that just ended, as a table."""
    level = detail(run)
    if log.isEnabledFor(level):
        log.log(level, "Wan Step Cache: %s", summary_table(run.trace))


def detail(run: Run) -> int:
    """The level at which details are logged."""
    return logging.INFO if run.config.options.verbose else logging.DEBUG


def announce(trace: Trace) -> None:
    """The first step is about to begin: say what is known of the run by now."""
    if trace.notes or any(method.plan is not None for method in trace.methods):
        log.info("Wan Step Cache: %s", plan_line(trace))
    for method in trace.methods:
        if method.plan is not None:
            words = plan_text(method.plan, trace.steps), costs_text(trace)
            show("\n".join(filter(None, words)), method.node)


def show(text: str, node: str | None) -> None:
    """Text on a node's face, for the client that queued the prompt, if there is one."""
    server = getattr(PromptServer, "instance", None)
    if server is not None and server.client_id is not None and node is not None:
        # The new renderer joins lines, so each has to end like a sentence.
        server.send_progress_text(re.sub(r"(?<=[^\s.])\n", ".\n", text), node, server.client_id)


def publish(trace: Trace) -> None:
    """The run is over: log it, show it on its nodes, write it to the prompt's file."""
    log.info("Wan Step Cache: %s", summary_line(trace))
    for method in trace.methods:
        show(node_text(method, trace), method.node)
    context = get_executing_context()
    if context is not None:
        append_trace(context.prompt_id, trace.as_json())


def publish_whole(runs: Sequence[Finished]) -> None:
    """A run of the prompt is over that was not its first: log and show what all did together."""
    if len(runs) > 1:
        log.info("Wan Step Cache: %s", " | ".join(told_together(runs)))
    for node in runs[-1].texts:
        own = [run for run in runs if node in run.texts]
        if len(own) > 1:
            show("\n".join([*told_together(own), *(run.texts[node] for run in own)]), node)


def told_together(runs: Sequence[Finished]) -> list[str]:
    """Phrases on several runs as one."""
    experts = len({run.expert for run in runs})
    return whole(merged([run.summary for run in runs]), experts, len(runs))


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
