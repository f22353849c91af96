"""CFG Cache in the host: conditions are left out before the host makes batches of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...cache_core import Run
from ...cache_core.branches import Evaluation
from ...cache_core.guidance import GUIDED, Difference, Guidance
from ...cache_core.schedule import Position
from ...cache_core.trace import record_of
from .chunks import window_of
from .keys import run_of

COND, UNCOND = 0, 1
NO_NEGATIVE = "CFG Cache: no negative branch runs (CFG 1, or a guider of its own): nothing to skip"

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

    step = None if run is None else run.shield(lambda: entered(run, model, conds, x, options))
    return execute(conds) if step is None else step.outputs(execute, conds)


def entered(run: Run, model: Any, conds: Any, x: Tensor, options: dict[str, Any]) -> Step | None:
    """CFG Cache's part in this call; None where it has none."""
    guidance, evaluation = run.guidance, run.evaluation
    if guidance is None or evaluation is None:
        return None
    if len(conds) != 2 or None in conds:
        first = not evaluation.computed + evaluation.reused  # later ones are passes of others
        if (first or len(conds) > 1) and NO_NEGATIVE not in run.trace.notes:
            run.trace.note(NO_NEGATIVE)
        return None
    position, window = run.position(evaluation), (id(model), window_of(options))
    known = guidance.difference((window, evaluation.occurrence(window)))
    in_force = tuple(in_force_at(position.sigma, cond) for cond in conds)
    evaluation.corrections.clear()
    conditions = (tuple(x.shape), x.dtype, x.device, in_force)
    return Step(run, guidance, evaluation, position, known, conditions)


def in_force_at(sigma: float, conditions: Sequence[dict[str, Any]]) -> Hashable:
    """Which of a branch's conditions the host runs at a noise level; it gives them as sigmas."""
    return tuple(
        condition.get("uuid")
        for condition in conditions
        if condition.get("timestep_end", sigma) <= sigma <= condition.get("timestep_start", sigma)
    )


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
        out_of_date = self.known.without > 0 and bool(self.run.policies)
        if not self.run.agree(decision.reuses or out_of_date):
            return self._both(execute(conds), before)
        cond = execute([conds[COND], None])[COND]
        reused = self._reused(before)
        guided = self.known.without > 0 if reused else decision.reuses
        uncond = self.run.shield(lambda: self._restored(cond)) if guided else None
        if guided and self.run.agree(uncond is not None):
            self.known.without += not reused
            self.run.trace.add(record_of(self.position, "uncond", GUIDED, 0.0))
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
            difference += added if branch == COND else -added
        more = self.guidance.learn(self.known, self.position, self.conditions, difference)
        self.run.account()
        return outputs if more is None else [outputs[COND], outputs[UNCOND] - sigma * more]

    def _restored(self, cond: Tensor) -> Tensor:
        difference = self.guidance.restore(self.known, self.position, cond)
        return cond - self.position.sigma * difference
