"""Who takes part in an evaluation: chunks of rows, and the groups that decide together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .decision import Decision, Reason
from .policy import Dynamic, Policy, Seen
from .schedule import Position
from .store import History, Signature


@dataclass(frozen=True)
class Chunk:
    """The rows of one condition in one model call.

    key: tells this condition from every other of the run (model, condition, window, patches).
    group: tells which chunks decide together (model, window, patches).
    branch: index of the condition: 0 is cond, 1 uncond in ordinary guidance.
    rows: its rows in the batch.
    signature: shape, dtype and device of its rows of the model input.
    family: tells which chunks have to agree with ``cfg_mode = all``: the group that they would be
    if they decided together.
    window: the frames of the context window that its rows are of, None without windows.
    """

    key: Hashable
    group: Hashable
    branch: int
    rows: slice
    signature: Signature
    family: Hashable = None
    window: Hashable = None

    @property
    def label(self) -> str:
        """The branch's name in traces."""
        return ("cond", "uncond")[self.branch] if self.branch < 2 else f"cond {self.branch + 1}"


class Group:
    """What the branches that decide together have learnt so far in a run.

    dynamic: the policies that measure, by place; what they learnt belongs to one branch.
    learnt: computed evaluations they have learnt from. computed_at: the last of all, and
    computed_before: the last before that. keys: of its branches. present: where it last took part.
    """

    def __init__(self, policies: Sequence[Policy], dynamic: Mapping[int, Dynamic]) -> None:
        self.policies = policies
        self.dynamic = dynamic
        self.computed_at: int | None = None
        self.computed_before: int | None = None
        self.learnt = 0
        self.skips_in_row = 0
        self.decider: Hashable = None
        self.keys: set[Hashable] = set()
        self.present: Position | None = None
        self.states: list[Any] = [policy.start() for policy in policies]

    def forget(self) -> None:
        """Back to knowing nothing; the count of skips goes on."""
        self.computed_at, self.computed_before, self.learnt = None, None, 0
        self.states = [policy.start() for policy in self.policies]

    def took_part(self, chunk: Chunk, position: Position) -> None:
        """A branch of the group ran or was reused."""
        self.keys.add(chunk.key)
        self.present = position

    def was_away(self, position: Position) -> bool:
        """True when it missed an evaluation, and a step: what it keeps is older than it counts.

        A stage of a sampler that evaluates several times a step is there once a step.
        """
        return self.present is not None and position.leaves_out(self.present)

    def observed_by(self, chunk: Chunk) -> None:
        """Metrics compare a branch with itself: another decider starts from nothing."""
        if chunk.key != self.decider:
            self.decider = chunk.key
            for which, policy in self.dynamic.items():
                self.states[which] = policy.start()

    def computed(self, evaluation: int, seen: Mapping[int, Seen]) -> None:
        """An evaluation was computed; what policies saw of it, by their place."""
        if evaluation != self.computed_at:
            self.computed_at, self.computed_before = evaluation, self.computed_at
        self.skips_in_row = 0
        self.learnt += 1
        self.states = [
            policy.computed(state, seen.get(which, Seen()))
            for which, (policy, state) in enumerate(zip(self.policies, self.states, strict=True))
        ]

    def missed(self, history: History, evaluation: int) -> bool:
        """True for a branch that did not run when the others were last computed before this one."""
        last = self.computed_before if self.computed_at == evaluation else self.computed_at
        return last is not None and not history.reaches(last)

    def skipped(self, seen: Mapping[int, Seen]) -> None:
        """An evaluation is reused."""
        self.skips_in_row += 1
        for which, policy in self.dynamic.items():
            self.states[which] = policy.skipped(self.states[which], seen.get(which, Seen()))

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors that the policies' states hold."""
        states = (self.states[which] for which in self.dynamic)
        fields = (value for state in states for value in vars(state).values())
        distinct = {id(value): value for value in fields if isinstance(value, Tensor)}
        return sum(value.nbytes for value in distinct.values())


@dataclass
class Evaluation:
    """One model evaluation of the sampler, which may take several model calls.

    sigma: one-element tensor, on the device: reading it would cost a synchronisation, so the
    position stays unknown until a metric is read, and comes with it.
    computed, reused: model calls of the evaluation so far. corrections: what was added to the
    output of a branch to make reused steps good, while CFG Cache wants to know; None for a branch
    of several chunks, which has no one value. computing: families of which a branch is computed.
    conds: the conditions that the host runs now, a list for each branch, as the host has them.
    full: why CFG Cache wants all branches to run, None where it does not say.
    """

    index: int
    sigma: Tensor
    position: Position | None = None
    decisions: dict[Hashable, Decision] = field(default_factory=dict)
    seen: dict[Hashable, int] = field(default_factory=dict)
    computed: int = 0
    reused: int = 0
    corrections: dict[int, Tensor | None] = field(default_factory=dict)
    computing: set[Hashable] = field(default_factory=set)
    conds: Sequence[Any] = ()
    full: Reason | None = None

    def occurrence(self, key: Hashable) -> int:
        """How often ``key`` came before in this evaluation; hosts may repeat a condition."""
        count = self.seen.get(key, 0)
        self.seen[key] = count + 1
        return count

    def called(self, reused: bool) -> None:
        """A model call is over."""
        self.reused += reused
        self.computed += not reused

    def corrected(self, chunks: Sequence[Chunk], added: Tensor) -> None:
        """What was added to the velocity of these chunks."""
        for chunk in chunks:
            several = chunk.branch in self.corrections
            self.corrections[chunk.branch] = None if several else added[chunk.rows]
