"""A model that torch.compile took whole: what a call does is decided in front of the compiled code.

Inside, a decision would be frozen into the graph. But the host calls the compiled module from eager
code: torch's own hooks on that module, for the time of one call, see the arguments that the model
gets and the output that it gives, so values are the very ones of a model that is not compiled.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from ...cache_core import Run
from ...cache_core.blocks import lose_blocks
from ...cache_core.call import Call
from .identity import original
from .keys import RUN_KEY, run_of
from .wrappers import OPTIONS_ARGUMENT, cacheable, enter

LATENT, SIGMA = 0, 1
"""Places of the arguments of APPLY_MODEL; its options are where WanModel.forward has them."""


class SkipModel(BaseException):
    """Leaves the host's call of the model: its output is known without. Never seen outside."""


def apply_model(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """The host prepares one call of the model, makes it, and takes what is denoised from it.

    The innermost wrapper of all: behind the one that puts the compiled module in its place.
    """
    base, run = executor.class_obj, run_of(args[OPTIONS_ARGUMENT])
    module = base.diffusion_model
    if run is None or original(module) is module:
        return executor(*args, **kwargs)
    started, seam = time.perf_counter(), Seam(run)
    try:
        with seam.on(module):
            denoised = executor(*args, **kwargs)
    except SkipModel:
        velocity = seam.reused.float()
        denoised = base.model_sampling.calculate_denoised(args[SIGMA], velocity, args[LATENT])
    run.shield(lambda: seam.close(time.perf_counter() - started))
    return denoised


class Seam:
    """Where the host calls a compiled module, during one such call."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.call: Call | None = None
        self.reused: Tensor

    @contextmanager
    def on(self, module: Any) -> Iterator[None]:
        """Hooks before and behind ``module``."""
        before = module.register_forward_pre_hook(self.before, with_kwargs=True)
        behind = module.register_forward_hook(self.behind, with_kwargs=True)
        try:
            yield
        finally:
            before.remove()
            behind.remove()

    def before(
        self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Leave with what is reused, or go on; the compiled code knows nothing of the run."""
        options, model = kwargs["transformer_options"], original(module)
        if cacheable(model, options):
            self.run.shield(lambda: lose_blocks(self.run))
            self.call = self.run.shield(lambda: enter(self.run, model, args[0], options))
        reused = self.call.reuse() if self.call and self.call.reuses else None
        if reused is not None:
            self.reused = reused
            raise SkipModel
        unseen = {key: value for key, value in options.items() if key != RUN_KEY}
        return args, {**kwargs, "transformer_options": unseen}

    def behind(
        self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
    ) -> Tensor:
        """Keep what was computed; what the sampler gets, corrected where owed."""
        return output if self.call is None else self.call.record_output(output)

    def close(self, seconds: float) -> None:
        """The call took ``seconds``."""
        if self.call is not None:
            self.call.close(seconds)
