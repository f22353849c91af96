"""One call of the model: what its chunks of rows do, and what is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .branches import Chunk, Evaluation
from .decision import Decision, Reason, compute
from .run import Run
from .scalars import read_scalars
from .schedule import Position
from .trace import Record


class Call:
    """The life of one model call: settled or observed, then reused or recorded, then closed.

    decisions: one per chunk, empty until every group of branches in the call has decided. The rows
    of a call run together, so it reuses only when all its chunks do.
    """

    def __init__(self, run: Run, evaluation: Evaluation, chunks: Sequence[Chunk]) -> None:
        self.run = run
        self.evaluation = evaluation
        self.chunks = chunks
        self.groups = list(dict.fromkeys(chunk.group for chunk in chunks))
        self.features: dict[Hashable, dict[int, Tensor]] = {}
        self.decisions: list[Decision] = []
        if run.idle or not run.probing:
            self._decide_unseen()
        if not self._undecided():
            self._settle()

    @classmethod
    def of(cls, run: Run, chunks: Sequence[Chunk]) -> Call:
        """A call within the run's evaluation: keys are made unique, groups are as cfg_mode says."""
        evaluation = run.evaluation
        if evaluation is None:
            raise RuntimeError("A model call outside an evaluation: begin() was not called.")
        separate = run.config.options.cfg_mode == "separate"
        keys = [(chunk.key, evaluation.occurrence(chunk.key)) for chunk in chunks]
        distinct = [
            replace(chunk, key=key, group=key if separate else chunk.group)
            for chunk, key in zip(chunks, keys, strict=True)
        ]
        return cls(run, evaluation, distinct)

    @property
    def settled(self) -> bool:
        """True once it is known what the call does."""
        return bool(self.decisions)

    @property
    def reuses(self) -> bool:
        """True when no row of the call is computed."""
        return self.settled and all(decision.reuses for decision in self.decisions)

    def observe(self, before: Tensor, after: Tensor) -> None:
        """Decide from block 0's input and output, [rows, tokens, dim]; one device sync at most.

        In each group the chunk of the lowest branch (cond) observes. A failure means compute.
        """
        self.run.shield(lambda: self._observe(before, after))
        self.give_up(Reason.ERROR)

    def give_up(self, reason: Reason) -> None:
        """Compute whatever is undecided, for ``reason``; no effect once the call is settled."""
        if self.settled:
            return
        for group in self._undecided():
            self.evaluation.decisions[group] = compute(reason)
        self._settle()

    def reuse(self, base: Tensor | None = None) -> Tensor | None:
        """The forecast values of all rows, added to ``base`` if given, in a new tensor.

        None when that fails: the call then computes.
        """
        value = self.run.shield(lambda: self._forecast(base))
        if value is None:
            self.decisions = [compute(Reason.ERROR, d.metric) for d in self.decisions]
        return value

    def record(self, value_of: Callable[[slice], Tensor]) -> None:
        """Keep what was computed; ``value_of(rows)`` gives a chunk's value as a fresh tensor."""
        if not self.run.idle:
            self.run.shield(lambda: self._record(value_of))

    def close(self, seconds: float) -> None:
        """The call took ``seconds``; write it into the trace."""
        position = self._position()
        for chunk, decision in zip(self.chunks, self.decisions, strict=True):
            record = Record(
                evaluation=position.evaluation,
                step=position.step,
                sigma=position.sigma,
                branch=chunk.label,
                action=decision.action,
                reason=decision.reason,
                method=decision.method,
                metric=decision.metric,
                seconds=seconds / len(self.chunks),
            )
            self.run.trace.add(record)

    def _undecided(self) -> list[Hashable]:
        return [group for group in self.groups if group not in self.evaluation.decisions]

    def _settle(self) -> None:
        decisions = [self._possible(chunk) for chunk in self.chunks]
        if not all(decision.reuses for decision in decisions):
            decisions = [compute(Reason.JOINED, d.metric) if d.reuses else d for d in decisions]
        self.decisions = decisions

    def _possible(self, chunk: Chunk) -> Decision:
        """The group's decision, unless it is a reuse and this chunk has nothing to reuse."""
        decision = self.evaluation.decisions[chunk.group]
        lacking = self._lacks(chunk) if decision.reuses else None
        return compute(lacking, decision.metric) if lacking else decision

    def _lacks(self, chunk: Chunk) -> Reason | None:
        """Why this chunk has no value that a reuse could start from, or None when it has."""
        history = self.run.store.history(chunk.key)
        if history.snapshots and history.signature != chunk.signature:
            return Reason.CHANGED
        computed_at = self.run.group(chunk.group).computed_at
        if computed_at is None or not history.reaches(computed_at):
            return Reason.NO_HISTORY
        return None

    def _decide_unseen(self) -> None:
        """Decide before the model is called, where no method of the run looks at it."""
        for group in self._undecided():
            decision = self._decide(group, self._position(), {})
            self.evaluation.decisions[group] = decision

    def _observe(self, before: Tensor, after: Tensor) -> None:
        pending = self._undecided()
        scalars = [] if self.evaluation.position else [self.evaluation.sigma]
        distances = [self._measure(self._decider(group), before, after) for group in pending]
        scalars += [d for several in distances for d in several.values() if d is not None]
        values = iter(read_scalars(scalars) if scalars else [])
        position = self.evaluation.position or self.run.locate(self.evaluation, next(values))
        for group, several in zip(pending, distances, strict=True):
            known = {which: None if d is None else next(values) for which, d in several.items()}
            self.evaluation.decisions[group] = self._decide(group, position, known)

    def _decide(
        self, group: Hashable, position: Position, measured: Mapping[int, float | None]
    ) -> Decision:
        """The group's decision; it computes if its observing chunk has nothing to reuse."""
        decider = self._decider(group)
        branch = decider.branch if self.run.config.options.cfg_mode == "separate" else 0
        decision = self.run.decide(self.run.group(group), position, branch, measured)
        lacking = self._lacks(decider) if decision.reuses else None
        if lacking:
            return compute(lacking, decision.metric)
        self.run.group(group).skips_in_row += decision.reuses
        return decision

    def _measure(self, chunk: Chunk, before: Tensor, after: Tensor) -> dict[int, Tensor | None]:
        """Distances of the probing policies by their place, on the device.

        Their features wait until the call is computed.
        """
        group = self.run.group(chunk.group)
        group.observed_by(chunk)
        looking = self.run.probing.items()
        features = {
            which: policy.features(before[chunk.rows], after[chunk.rows])
            for which, policy in looking
        }
        self.features[chunk.group] = features
        return {
            which: policy.distance(group.states[which], features[which])
            for which, policy in looking
        }

    def _decider(self, group: Hashable) -> Chunk:
        return min((c for c in self.chunks if c.group == group), key=lambda c: c.branch)

    def _forecast(self, base: Tensor | None) -> Tensor:
        position = self._position()
        histories = [self.run.store.history(chunk.key) for chunk in self.chunks]
        value = torch.cat([self.run.forecast.predict(h.snapshots, position) for h in histories])
        return value if base is None else base + value

    def _record(self, value_of: Callable[[slice], Tensor]) -> None:
        position = self._position()
        for chunk in self.chunks:
            history = self.run.store.history(chunk.key)
            history.record(position, value_of(chunk.rows), chunk.signature)
        for group in self.groups if not self.run.probing else self.features:
            self.run.group(group).computed(self.evaluation.index, self.features.get(group, {}))
        self.run.account()

    def _position(self) -> Position:
        """Where the evaluation stands; costs a device sync if nothing was observed in it."""
        known = self.evaluation.position
        return known or self.run.locate(self.evaluation, read_scalars([self.evaluation.sigma])[0])
