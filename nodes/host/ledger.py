"""What the samplings of the prompt under way have been so far, in plain numbers."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from comfy_execution.utils import get_executing_context

from ...cache_core import CacheConfig, Run, RunFacts
from ...cache_core.continuing import Stretch, same_expert, steps_before
from ...cache_core.merged import part_text

MOST = 256
"""Samplings that are remembered of one prompt."""


@dataclass(frozen=True)
class Finished:
    """A sampling that has ended.

    expert: which of the prompt's experts it was, counted from 0. texts: what its nodes have to say
    of it, by node.
    """

    stretch: Stretch
    expert: int
    summary: dict[str, Any]
    texts: dict[str, str]


class Ledger:
    """The finished samplings of one prompt; those of another are dropped when it asks or adds."""

    def __init__(self) -> None:
        self.prompt: str | None = None
        self.finished: list[Finished] = []

    def known(self) -> list[Finished]:
        """The finished samplings of the prompt under way; none outside a prompt."""
        context = get_executing_context()
        prompt = None if context is None else context.prompt_id
        if prompt is None or prompt != self.prompt:
            self.prompt, self.finished = prompt, []
        return self.finished

    def before(self, stretch: Stretch) -> int:
        """Steps that were made of the part of the schedule that ``stretch`` goes on with."""
        return steps_before(stretch, [run.stretch for run in self.known()])

    def add(self, stretch: Stretch, run: Run) -> Sequence[Finished]:
        """A sampling has ended: all of the prompt, this one included."""
        known = self.known()
        same = (f.expert for f in known if same_expert(f.stretch, stretch))
        expert = next(same, 1 + max((f.expert for f in known), default=-1))
        texts = {
            method.node: part_text(method, run.trace, run.schedule)
            for method in run.trace.methods
            if method.node is not None
        }
        ended = Finished(stretch, expert, run.trace.summary(), texts)
        self.finished = [*known, ended][-MOST:]
        return self.finished


LEDGER = Ledger()


def stretch_of(guider: Any, config: CacheConfig, facts: RunFacts, steps: int) -> Stretch:
    """The stretch of one sampling; the model is referred to weakly, so that nothing is kept."""
    identity = config.identity
    return Stretch(
        kind=(identity.kind, identity.size, identity.dim, identity.layers),
        expert=identity.expert,
        weights=weakref.ref(guider.model_patcher.model),
        frame=(facts.height, facts.width),
        first_sigma=facts.first_sigma,
        last_sigma=facts.last_sigma,
        steps=steps,
        before=facts.before,
    )


def continued(guider: Any, config: CacheConfig, facts: RunFacts, steps: int) -> RunFacts:
    """The facts, knowing of the steps that earlier samplings of the expert made."""
    return replace(facts, before=LEDGER.before(stretch_of(guider, config, facts, steps)))


def ended(guider: Any, run: Run) -> Sequence[Finished]:
    """Note that a run has ended; all samplings of its prompt so far."""
    stretch = stretch_of(guider, run.config, run.facts, run.schedule.steps)
    return LEDGER.add(stretch, run)
