"""One call of the model: what its chunks of rows do, and what is kept of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .anchors import keep
from .branches import Chunk, Evaluation
from .decision import Decision, Reason, compute
from .forms import Fill
from .observed import Observed
from .presence import join
from .ranks import Measure
from .recall import RowsFill, correct_rows, forecast_rows, keep_rows
from .run import Run
from .scalars import read_scalars
from .schedule import Position
from .trace import record_of


class Call:
    """The life of one model call: settled or observed, then reused or recorded, then closed.

    latent: the model's input, [rows, channels, frames, height, width], as many channels as it puts
    out. decisions: one per chunk, empty until every group of branches in the call has decided. The
    rows of a call run together, so it reuses only when all its chunks do.
    """

    def __init__(
        self, run: Run, evaluation: Evaluation, chunks: Sequence[Chunk], latent: Tensor
    ) -> None:
        self.run = run
        self.evaluation = evaluation
        self.chunks = chunks
        self.latent = latent
        self.groups = list(dict.fromkeys(chunk.group for chunk in chunks))
        self.observed: dict[Hashable, Observed] = {}
        self.decisions: list[Decision] = []
        if run.idle or not run.probing:
            run.shield(lambda: self._observe(None, None))
            self.give_up(Reason.ERROR)
        elif not self._undecided():
            self._settle()

    @classmethod
    def of(cls, run: Run, chunks: Sequence[Chunk], latent: Tensor) -> Call:
        """A call within the run's evaluation: keys are made unique, groups are as cfg_mode says."""
        evaluation = run.evaluation
        if evaluation is None:
            raise RuntimeError("A model call outside an evaluation: begin() was not called.")
        alone = run.config.options.cfg_mode != "cond"
        keys = [(chunk.key, evaluation.occurrence(chunk.key)) for chunk in chunks]
        distinct = [
            replace(chunk, key=key, group=key if alone else chunk.group, family=chunk.group)
            for chunk, key in zip(chunks, keys, strict=True)
        ]
        return cls(run, evaluation, distinct, latent)

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
        self.watch(0, before, after)
        self.give_up(self.run.idle or Reason.ERROR)

    def give_up(self, reason: Reason) -> None:
        """Compute whatever is undecided, for ``reason``; no effect once the call is settled."""
        if self.settled:
            return
        with self.run.lock:
            for group in self._undecided():
                self.evaluation.decisions[group] = compute(reason)
            self._settle()

    def watch(self, block: int, before: Tensor, after: Tensor) -> None:
        """Show a block's input and output, [rows, tokens, dim], to the policies that watch it."""
        self.run.shield(lambda: self._watch(block, before, after))

    def reuse(self, base: Tensor | None = None) -> Tensor | None:
        """The forecast values of all rows, added to ``base`` if given, in a new tensor.

        None when that fails, here or on another rank: the call then computes.
        """
        value = self.run.shield(lambda: self._forecast(base))
        if self.run.agree(value is not None):
            return value
        reason = Reason.RANKS if value is not None else self.run.idle or Reason.ERROR
        self.decisions = [compute(reason, d.metric) for d in self.decisions]
        return None

    def record_output(self, output: Tensor) -> Tensor:
        """Keep the computed output; what the sampler gets instead of it, corrected where owed."""
        if self.run.idle:
            return output
        corrected = self.run.shield(lambda: self._corrected(output))
        if self.run.forecast.corrects and not self.run.agree(corrected is not None):
            corrected = None
        if corrected is not None and self.run.guidance:
            self.evaluation.corrected(self.chunks, corrected - output)
        anchor = self.run.forecast.anchor

        def fill(rows: slice) -> Fill:
            sigma = self._position().sigma
            return lambda buffer: keep(anchor, output[rows], self.latent[rows], sigma, buffer)

        self.run.shield(lambda: self._record(output, fill, output))
        return output if corrected is None else corrected

    def record_residual(self, before: Tensor, after: Tensor, output: Tensor) -> None:
        """Keep what the block stack added, [rows, tokens, dim] before and after it."""

        def fill(rows: slice) -> Fill:
            return lambda buffer: torch.sub(after[rows], before[rows], out=buffer)

        if not self.run.idle:
            self.run.shield(lambda: self._record(after, fill, output))

    def close(self, seconds: float) -> None:
        """The call took ``seconds``; write it into the trace."""
        self.run.account()
        self.evaluation.called(self.reuses)
        position, seconds = self._position(), seconds / len(self.chunks)
        for chunk, decision in zip(self.chunks, self.decisions, strict=True):
            join(self.run, chunk, position)
            mixed = self.run.store.history(chunk.key).mixed if decision.reuses else 0
            self.run.trace.add(record_of(position, chunk.label, decision, seconds, mixed))

    def _undecided(self) -> list[Hashable]:
        return [group for group in self.groups if group not in self.evaluation.decisions]

    def _settle(self) -> None:
        """Reuse if all chunks can, on all ranks; a rank that fails here says no."""
        possible = self.run.shield(lambda: [self._possible(chunk) for chunk in self.chunks])
        decisions = possible or [compute(Reason.ERROR)] * len(self.chunks)
        together = all(decision.reuses for decision in decisions) and not self._follows()
        if not self.run.agree(together):
            reason = Reason.RANKS if together else Reason.JOINED
            decisions = [compute(reason, d.metric) if d.reuses else d for d in decisions]
            self.evaluation.computing.update(chunk.family for chunk in self.chunks)
        self.decisions = decisions

    def _follows(self) -> bool:
        """With ``cfg_mode = all``: an earlier call computed a branch that ours have to agree with.

        A call that computes after one that reused comes too late for it.
        """
        if self.run.config.options.cfg_mode != "all":
            return False
        return any(chunk.family in self.evaluation.computing for chunk in self.chunks)

    def _possible(self, chunk: Chunk) -> Decision:
        """The group's decision, unless it is a reuse and this chunk has nothing to reuse."""
        decision = self.evaluation.decisions[chunk.group]
        lacking = self._lacks(chunk) if decision.reuses else None
        return compute(lacking, decision.metric) if lacking else decision

    def _lacks(self, chunk: Chunk) -> Reason | None:
        """Why this chunk has no value that a reuse could start from, or None when it has."""
        history, group = self.run.store.history(chunk.key), self.run.group(chunk.group)
        return history.lacks(group.computed_at, chunk.signature)

    def _observe(self, before: Tensor | None, after: Tensor | None) -> None:
        """Let every policy measure, read all measures at once, decide."""
        pending = self._undecided()
        places = [] if self.run.idle else list(self.run.dynamic)
        measured = self.run.shield(
            lambda: [m for group in pending for m in self._measure(group, before, after)]
        )
        values = iter(self._read(measured or [None] * (len(pending) * len(places))))
        if measured is None:
            return
        position = self._position()
        for group in pending:
            known = {which: next(values) for which in places}
            self.evaluation.decisions[group] = self._decide(group, position, known)

    def _read(self, measures: Sequence[Measure]) -> list[float | None]:
        """Their values, averaged over the ranks; the sigma comes along if it is not yet known."""
        found = self.run.ranks.averaged(measures)
        unread = [m for m in found if isinstance(m, Tensor)]
        if self.evaluation.position:
            read = read_scalars(unread) if unread else []
        else:
            sigma, *read = read_scalars([self.evaluation.sigma, *unread])
            self.run.locate(self.evaluation, sigma)
        values = iter(read)
        return [next(values) if isinstance(m, Tensor) else m for m in found]

    def _decide(
        self, group: Hashable, position: Position, measured: dict[int, float | None]
    ) -> Decision:
        """The group's decision; it computes if its observing chunk has nothing to reuse."""
        decider = self._decider(group)
        branch = decider.branch if self.run.config.options.cfg_mode != "cond" else 0
        known = self.run.group(group)
        decision = self.run.decide(known, position, branch, measured)
        lacking = self._lacks(decider) if decision.reuses else None
        if lacking:
            return compute(lacking, decision.metric)
        if decision.reuses:
            known.skipped(self.observed[group].seen if group in self.observed else {})
        return decision

    def _measure(self, key: Hashable, before: Tensor | None, after: Tensor | None) -> list[Measure]:
        """The distances of the dynamic policies in their order, scalars still on the device."""
        if not self.run.dynamic or self.run.idle:
            return []
        group, chunk = self.run.group(key), self._decider(key)
        group.observed_by(chunk)
        self.observed[key] = Observed.of(self.run, chunk, self.latent, before, after)
        return list(self.observed[key].distances(self.run, group).values())

    def _watch(self, block: int, before: Tensor, after: Tensor) -> None:
        for observed in self.observed.values():
            observed.watch(self.run.watching.get(block, {}), before, after)

    def _decider(self, group: Hashable) -> Chunk:
        return min((c for c in self.chunks if c.group == group), key=lambda c: c.branch)

    def _forecast(self, base: Tensor | None) -> Tensor:
        return forecast_rows(self.run, self.chunks, self._position(), self.latent, base)

    def _corrected(self, output: Tensor) -> Tensor | None:
        return correct_rows(self.run, self.chunks, self._position(), output)

    def _record(self, like: Tensor, fill: RowsFill, output: Tensor) -> None:
        keep_rows(self.run, self.chunks, self._position(), like, fill, output)
        for group in self.observed if self.run.dynamic else self.groups:
            observed = self.observed.get(group)
            seen = observed.computed(self.run, output) if observed else {}
            self.run.group(group).computed(self.evaluation.index, seen)

    def _position(self) -> Position:
        return self.run.position(self.evaluation)
