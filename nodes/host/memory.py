"""Memory: telling the host what the cache will need, and asking it what is free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...cache_core import Run
from ...cache_core import memory as needs
from ...cache_core.memory import Sizes, footprint, tokens_of
from ...cache_core.vocabulary import CacheLevel
from .identity import is_wan
from .keys import run_of

LEVELS: tuple[CacheLevel, ...] = ("output", "hidden")
Conditions = dict[str, list[Any]]
"""The host's conditions by their name, such as positive and negative."""


def prepare_sampling(
    executor: Any,
    model: Any,
    noise_shape: Sequence[float],
    conds: Conditions,
    *more: Any,
    **named: Any,
) -> Any:
    """The host is about to load the model: it leaves room for what the run will keep.

    It estimates activations by the shape of the noise and uses it for nothing else: more rows are
    more memory, and they may be a fraction.
    """
    options = named.get("model_options") or {}
    run = run_of(options.get("transformer_options", {}))
    if run is not None and (run.guidance or not run.idle) and "context_handler" not in options:
        shape = run.shield(lambda: with_room(run, model, noise_shape, conds))
        noise_shape = noise_shape if shape is None else shape
    return executor(model, noise_shape, conds, *more, **named)


def with_room(
    run: Run, model: Any, noise_shape: Sequence[float], conds: Conditions
) -> list[float] | None:
    """The shape of the noise with as many rows as the run's values need; None for no estimate."""
    sizes = sizes_of(model, noise_shape, conds, run.facts.cfg)
    if sizes is None:
        return None
    keeping, options = run.store.keeping, run.config.options
    rest = (options.cfg_mode, run.dynamic.values(), run.guidance)
    depth = 0 if run.idle else run.forecast.depth
    run.footprint = footprint(sizes, run.level, keeping.dtype, depth, *rest)
    run.trace.costs = {
        level: sizes.branches * depth * sizes.value(level, keeping.dtype) for level in LEVELS
    }
    rows, *rest = noise_shape
    two = model.model.memory_required([2, *rest])  # the host estimates twice the rows
    return [rows + run.footprint.on_device(keeping) / two, *rest]


def sizes_of(
    model: Any, noise_shape: Sequence[float], conds: Conditions, cfg: float | None
) -> Sizes | None:
    """What the model will work on, None where it is no Wan or the latent no video.

    Reference frames that some classes add to the tokens are not known yet, and left out.
    """
    wan = model.get_model_object("diffusion_model")
    if not is_wan(wan) or len(noise_shape) != 5:
        return None
    rows, _, *size = map(int, noise_shape)
    return Sizes(
        rows=rows,
        branches=branches_of(conds, cfg),
        output=(wan.out_dim, *size),
        tokens=tokens_of(size, wan.patch_size),
        dim=wan.dim,
        dtype=model.model.get_dtype_inference(),
    )


def branches_of(conds: Conditions, cfg: float | None) -> int:
    """How many conditions the host evaluates: at CFG 1 not the negative ones."""
    names = [name for name in conds if not (name == "negative" and cfg == 1)]
    return sum(len(conds[name] or ()) for name in names)


def settle(run: Run, patcher: Any) -> None:
    """The first step is about to begin: the run hears what memory is free.

    The patcher of the model counts what the host would free of it (dynamic VRAM) as free, too.
    """
    needs.settle(run, patcher.get_free_memory(patcher.load_device))
