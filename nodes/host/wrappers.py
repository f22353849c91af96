"""The host's phases of a sampling, wrapped: a run lives from the first to the last of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

from ...cache_core import CacheConfig, Run, Schedule
from ...cache_core.call import Call
from ...cache_core.ranks import Ranks
from ...cache_core.shield import shielded
from . import live
from .archive import ARCHIVE
from .chunks import chunks_of
from .conditions import bound
from .facts import facts_of
from .feedback import announce, publish, publish_whole, report_evaluation, report_table
from .forward import OPTIONS_ARGUMENT, forward_output
from .hidden import forward_hidden
from .identity import is_wan
from .keys import KEY, RANKS_KEY, RUN_KEY, calibrating, config_of, run_of
from .ledger import continued, ended
from .memory import settle
from .time_signal import embedding_of

log = logging.getLogger(__name__)
LATENT, SAMPLER, SIGMAS = 1, 2, 3
"""Places of the arguments of OUTER_SAMPLE."""

UNANNOUNCED = (
    "another node calls the model on rows of which ComfyUI does not say what they are: those calls "
    "are computed"
)


def outer_sample(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """A sampling: create its run, and whatever happens let go of it at the end."""
    guider = executor.class_obj
    config = None if calibrating(guider.model_options) else config_of(guider.model_options)
    run = None if config is None else start_together(config, guider, args)
    if run is None:
        return executor(*args, **kwargs)
    options = guider.model_options["transformer_options"]
    options[RUN_KEY] = run
    run.shield(lambda: go_last(options["wrappers"][WrappersMP.APPLY_MODEL]))
    try:
        output = executor(*args, **kwargs)
        run.shield(lambda: publish(run.trace))
    finally:
        run.shield(lambda: live.tell(run.trace, done=True))
        options.pop(RUN_KEY, None)
        run.close()
    run.shield(lambda: sum_up(run, guider))
    return output


def go_last(wrappers: dict[str, Any]) -> None:
    """Behind the wrappers of all others, so that a compiled module is in its place."""
    wrappers[KEY] = wrappers.pop(KEY)


def start_together(config: CacheConfig, guider: Any, args: Sequence[Any]) -> Run | None:
    """A run of this sampling, None unless every rank that samples it can have one."""
    wish = guider.model_options["transformer_options"].get(RANKS_KEY)
    ranks = Ranks.of(wish, guider.model_patcher.load_device)
    run = shielded(lambda: start_run(config, guider, args, ranks), not_followed)
    agreed = shielded(lambda: ranks.agree(run is not None, lambda: None), not_followed)
    return run if agreed else None


def start_run(config: CacheConfig, guider: Any, args: Sequence[Any], ranks: Ranks) -> Run | None:
    """A run of this sampling, None when there is nothing to sample."""
    if len(args[SIGMAS]) < 2:
        return None
    sigmas = args[SIGMAS].tolist()
    facts = facts_of(guider, args[SAMPLER], sigmas, args[LATENT])
    facts = continued(guider, config, facts, len(sigmas) - 1)
    sampling = guider.model_patcher.get_model_object("model_sampling")
    return Run(config, Schedule.of(sigmas), sampling.percent_to_sigma, facts, ranks)


def sum_up(run: Run, guider: Any) -> None:
    """The run is over: its details, and what the prompt's runs did together."""
    report_table(run)
    runs = ended(guider, run)
    publish_whole(runs)
    ARCHIVE.add(run, runs[-1].stretch)


def not_followed(error: Exception) -> None:
    """A sampling of a kind the pack cannot follow runs without it."""
    log.warning("Wan Step Cache: this sampling runs without the cache", exc_info=error)


def predict_noise(executor: Any, x: Any, timestep: Any, *args: Any, **kwargs: Any) -> Any:
    """One evaluation of the model, however many calls it takes."""
    run = run_of(executor.class_obj.model_options.get("transformer_options", {}))
    if run is None:
        return executor(x, timestep, *args, **kwargs)
    if not run.prepared:
        run.shield(lambda: prepare(run, executor.class_obj))
    run.shield(lambda: run.begin(timestep))
    try:
        return executor(x, timestep, *args, **kwargs)
    finally:
        run.shield(run.end)
        run.shield(lambda: told(run))


def told(run: Run) -> None:
    """An evaluation is over: to the log, and to the browser."""
    report_evaluation(run)
    live.tell(run.trace)


def prepare(run: Run, guider: Any) -> None:
    """The model is loaded, the first step is about to begin: make plans, and show them."""
    settle(run, guider.model_patcher)
    run.prepare(embedding_of(guider.model_patcher))
    announce(run.trace)
    live.tell(run.trace, always=True)


def diffusion_model(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """One call of the model on a batch of conditions."""
    if torch.compiler.is_compiling():
        return executor(*args, **kwargs)  # a decision would be frozen into the graph
    model = executor.class_obj
    options = args[OPTIONS_ARGUMENT] if len(args) > OPTIONS_ARGUMENT else {}
    run = run_of(options)
    if run is None or not cacheable(model, options):
        return executor(*args, **kwargs)
    call = run.shield(lambda: enter(run, model, args[0], options))
    if call is None:
        return executor(*args, **kwargs)
    started = time.perf_counter()
    hidden = run.level == "hidden" and not run.idle
    forward = forward_hidden if hidden else forward_output
    output = forward(executor, list(args), kwargs, call)
    run.shield(lambda: call.close(time.perf_counter() - started))
    return output


def enter(run: Run, model: Any, x: torch.Tensor, options: dict[str, Any]) -> Call | None:
    """The call of the run that this model call is, None if its rows are nobody's we know."""
    if run.evaluation is None:
        return None
    chunks = chunks_of(model, x, options, run.passes)
    if chunks is None:
        run.trace.note(UNANNOUNCED)
        return None
    if not run.evaluation.index:
        run.watch(len(model.blocks))
    run.trace.probe_share = 1 / len(model.blocks) if run.probing else 0.0
    chunks = bound(run, run.evaluation, chunks, options["uuids"])
    return Call.of(run, chunks, x[:, : model.out_dim])


def cacheable(model: Any, options: dict[str, Any]) -> bool:
    """False where the model has to run as it is: autoregressive, it writes a cache of its own."""
    return is_wan(model) and "ar_state" not in options
