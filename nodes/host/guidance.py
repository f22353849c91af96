"""CFG Cache in the host: conditions are left out before the host makes batches of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...cache_core import Run
from ...cache_core.branches import Evaluation
from ...cache_core.guidance import GUIDED, Difference, Guidance
from ...cache_core.passes import mentions
from ...cache_core.schedule import Position
from ...cache_core.trace import record_of
from .chunks import patches_of, window_of
from .conditions import in_force_at, note, scheduled
from .keys import run_of

COND, UNCOND = 0, 1
NO_NEGATIVE = "CFG Cache: no negative branch runs (CFG 1, or a guider of its own): nothing to skip"
TOGETHER = (
    "CFG Cache: {} looks at which branches run together (NAG and the like), so that both always do"
)
ONE_BY_ONE = (
    "CFG Cache: where another node runs the branches one by one (SkipLayerGuidanceDiTSimple does) "
    "both run"
)
SCHEDULED = "CFG Cache: hooks change weights during the run (keyframes), so both branches run"

Outputs = Sequence[Tensor]
"""Denoised latents of cond and uncond, whatever regions and batches they are made of."""

Execute = Callable[[list[Any]], Outputs]
"""Runs the model on some conditions: [cond, uncond], None for one that is left out."""


def calc_cond_batch(executor: Any, model: Any, conds: Any, x: Any, *args: Any, **kw: Any) -> Any:
    """The conditions of one evaluation, or of one context window of it."""
    options = args[1]["transformer_options"]
    run = run_of(options)

    def execute(some: list[Any]) -> Any:
        return executor(model, some, x, *args, **kw)

    if run is None:
        return execute(conds)
    run.shield(lambda: note(run, conds))
    step = run.shield(lambda: entered(run, model, conds, x, options))
    return execute(conds) if step is None else step.outputs(execute, conds)


def entered(run: Run, model: Any, conds: Any, x: Tensor, options: dict[str, Any]) -> Step | None:
    """CFG Cache's part in this call; None where it has none.

    The host makes zeros of a branch none of whose conditions is in force: they stay zeros.
    """
    guidance, evaluation = run.guidance, run.evaluation
    if guidance is None or evaluation is None:
        return None
    first = not evaluation.computed + evaluation.reused  # later ones are passes of others
    if len(conds) < 2 and not first:
        return None
    hindrance = hindrance_of(run, conds, options)
    if hindrance is not None:
        run.trace.note(hindrance)
        return None
    position, window = run.position(evaluation), (id(model), window_of(options))
    in_force = tuple(in_force_at(position.sigma, cond) for cond in conds)
    if not all(in_force):
        return None
    known = guidance.difference((window, evaluation.occurrence(window)))
    evaluation.corrections.clear()
    conditions = (tuple(x.shape), x.dtype, x.device, in_force)
    return Step(run, guidance, evaluation, position, known, conditions)


def hindrance_of(run: Run, conds: Sequence[Any], options: dict[str, Any]) -> str | None:
    """Why whatever branches there are have to run; None where uncond may be left out."""
    if len(conds) != 2 or None in conds:
        return ONE_BY_ONE if one_by_one(run, conds) else NO_NEGATIVE
    if any(scheduled(cond) for cond in conds):
        return SCHEDULED
    together = (p for p in patches_of(options).values() if mentions(p, "cond_or_uncond"))
    patch = next(together, None)
    name = getattr(patch, "__name__", type(patch).__name__)
    return None if patch is None else TOGETHER.format(name)


def one_by_one(run: Run, conds: Sequence[Any]) -> bool:
    """True for one of two branches, where guidance is not off."""
    return len(conds) == 2 and run.facts.cfg not in (None, 1)


@dataclass
class Step:
    """One call: cond alone, and uncond made of it; or both."""

    run: Run
    guidance: Guidance
    evaluation: Evaluation
    position: Position
    known: Difference
    conditions: Hashable

    def outputs(self, execute: Execute, conds: list[Any]) -> Outputs:
        """Denoised cond and uncond.

        Whether a step method reuses the evaluation is known only when cond has run, so cond goes
        first wherever uncond may be left out. Values kept of uncond that are out of date cannot be
        reused: then the difference serves.
        """
        before = self.evaluation.computed, self.evaluation.reused
        decision = self.guidance.decide(self.known, self.position, self.conditions)
        self.evaluation.full = None if decision.reuses else decision.reason
        out_of_date = self.known.without > 0 and bool(self.run.policies)
        if not self.run.agree(decision.reuses or out_of_date):
            return self._both(execute(conds), before)
        cond = execute([conds[COND], None])[COND]
        reused = self._reused(before)
        guided = self.known.without > 0 if reused else decision.reuses
        uncond = self.run.shield(lambda: self._restored(cond)) if guided else None
        if guided and self.run.agree(uncond is not None):
            self.known.without += not reused
            mixed = self.known.history.mixed
            self.run.trace.add(record_of(self.position, "uncond", GUIDED, 0.0, mixed))
            return [cond, uncond]
        return self._both([cond, execute([None, conds[UNCOND]])[UNCOND]], before)

    def _both(self, outputs: Outputs, before: tuple[int, int]) -> Outputs:
        """Both have run: learn their difference if they were computed."""
        if self.evaluation.reused > before[1]:
            if self.known.history.positions:
                self.run.shield(lambda: self.guidance.owe(self.known, self.position))
            return outputs
        learnt = self.run.shield(lambda: self._learn(outputs))
        return outputs if learnt is None else learnt

    def _reused(self, before: tuple[int, int]) -> bool:
        computed, reused = before
        return self.evaluation.reused > reused and self.evaluation.computed == computed

    def _learn(self, outputs: Outputs) -> Outputs:
        """Keep the difference of the velocities, without what corrections have added to them; the
        outputs with reused differences made good.
        """
        sigma = self.position.sigma
        difference = (outputs[COND] - outputs[UNCOND]) / sigma
        for branch, added in self.evaluation.corrections.items():
            if added is not None and added.shape == difference.shape:
                share = added if branch == COND else -added
                difference += share.to(difference.device)  # branches may run on several
        more = self.guidance.learn(self.known, self.position, self.conditions, difference)
        self.run.account()
        return outputs if more is None else [outputs[COND], outputs[UNCOND] - sigma * more]

    def _restored(self, cond: Tensor) -> Tensor:
        difference = self.guidance.restore(self.known, self.position, cond)
        return cond - self.position.sigma * difference
