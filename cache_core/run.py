"""One sampling: its schedule, its memory of computed values, its decisions, its trace."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from threading import RLock
from typing import cast

from torch import Tensor

from .alarm import Alarm
from .branches import Evaluation, Group
from .config import CacheConfig
from .decision import Decision, Reason, compute
from .forecast import Forecast
from .forecast_choice import forecast_for
from .guards import guards_of
from .guidance import guidance_of
from .identity import RunFacts
from .idle import idle_because, idle_from_start
from .in_force import trace_of
from .keeping import Keeping
from .masks import placed
from .memory import Footprint, is_out_of_memory
from .passes import Passes
from .plans import distance, plan
from .policy import Dynamic, Past, Policy, Probing, Static
from .presence import Company, drop_stale, leave
from .ranks import Ranks
from .recent import Recent, next_step
from .scalars import read_scalars
from .schedule import Course, Position, Schedule
from .shield import Result, shielded
from .store import Store
from .timetable import Outlook, Timetable
from .vocabulary import Signal
from .votes import masked, unknown_because, vote


class Run:
    """The state of one sampling. Created when it starts, closed when it ends, never shared.

    percent_to_sigma: the host's map from percent of the whole schedule to sigma. facts: what else
    the sampling tells of itself. ranks: the processes that sample together.

    idle: why everything is computed, None if methods are asked. footprint: what the cache will
    need, None if nobody can tell.
    policies: in order of precedence. dynamic: those that measure, by place. probing: those of them
    that look at block 0 in every evaluation; without any, what an evaluation does is known before
    the model is called. watching: those that look at a block of a computed one, by block and place.
    blind: places of those that cannot look at what they decide by; None for a model like any other.
    """

    def __init__(
        self,
        config: CacheConfig,
        schedule: Schedule,
        percent_to_sigma: Callable[[float], float],
        facts: RunFacts | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.config = config
        self.schedule = schedule
        self.facts = facts or RunFacts()
        self.ranks = ranks or Ranks()
        self.lock = RLock()
        whole = round(self.facts.steps or schedule.steps)
        identity, resolved = config.resolved(self.facts, whole)
        self.methods = [m for m in resolved if m.policy.looks_at != "guidance"]
        self.policies = [cast(Policy, method.policy) for method in self.methods]
        before = self.facts.before
        mask = placed(config.options.step_mask, schedule.sigmas, percent_to_sigma, self.facts.steps)
        where = (schedule.steps, percent_to_sigma, before, mask.letters)
        self.guards = [guards_of(config.options, method.guards, *where) for method in self.methods]
        self._sort_policies()
        self.timetables: dict[int, Timetable] = {}
        self.prepared = False
        self.level = "hidden" if config.options.cache_level == "hidden" else "output"
        self.forecast: Forecast = forecast_for(self.methods, config.options, self.level, self.facts)
        keeping = Keeping.chosen(config.options.cache_device, config.options.cache_dtype)
        self.store = Store(self.forecast.depth, keeping)
        self.footprint: Footprint | None = None
        self.groups: Recent[Hashable, Group] = Recent()
        self.passes = Passes()
        self.evaluation: Evaluation | None = None
        self.evaluations = 0
        self.course = Course(schedule, self.facts.stages)
        self.company = Company()
        self.guidance = guidance_of(resolved, config.options, schedule, self.facts, *where[1:])
        self.trace = trace_of(self, identity.label, keeping)
        going_on = f"goes on after {before} steps of the same expert" if before else ""
        self.trace.notes += [note for note in (going_on, mask.note) if note]
        self.alarm = Alarm()
        self.idle = idle_from_start(self)

    def _sort_policies(self) -> None:
        """Which policies look at what; those that watch blocks need to know how many there are."""
        places = list(enumerate(self.policies))
        self.dynamic = {i: cast(Dynamic, p) for i, p in places if p.looks_at != "schedule"}
        self.probing = {i: cast(Probing, p) for i, p in places if p.looks_at == "block"}
        latent = (p.looks_at == "latent" or getattr(p, "motion", False) for p in self.policies)
        self.keeps_latent = any(latent)
        self.watching: dict[int, dict[int, Past]] = {}
        self.blind: set[int] | None = None

    @property
    def behind_block_0(self) -> bool:
        """True when a reuse starts behind block 0, which every method of the run wants to see."""
        return len(self.probing) == len(self.policies) > 0

    def prepare(self, embed: Callable[[Sequence[float], Signal], Tensor]) -> None:
        """Ask static methods for their distances, before the first step; ``embed``: see Outlook.

        Costs one device synchronisation for each of them, none later.
        """
        self.prepared = True
        outlook = Outlook(self.schedule.sigmas[:-1], embed)
        for which, policy in enumerate(self.policies):
            if policy.looks_at == "schedule" and not self.idle:
                self.shield(partial(plan, self, which, cast(Static, policy), outlook))

    def watch(self, layers: int) -> None:
        """The model has this many blocks: which of them do policies look at?"""
        for which, policy in enumerate(self.policies):
            if policy.looks_at == "past":
                past = cast(Past, policy)
                self.watching.setdefault(past.block(layers), {})[which] = past

    def begin(self, sigma: Tensor) -> None:
        """A model evaluation starts; ``sigma`` holds its noise level, one value per sample."""
        self.evaluation = Evaluation(self.evaluations, sigma.reshape(-1)[:1])
        self.passes.begin()
        reads = not self.idle and any(p.looks_at in ("block", "latent") for p in self.policies)
        if self.facts.counted and not reads and self.evaluations < self.schedule.steps:
            at = self.evaluations
            self._at(self.evaluation, Position(at, at, self.schedule.sigmas[at]))
        self.evaluations += 1
        self.alarm.look()
        if self.alarm.rung and not self.idle:
            self.idle, self.guidance = Reason.COLLAPSE, None
            self.trace.note(self.alarm.rung)
        self.trace.evaluation_begins()

    def end(self) -> None:
        """The evaluation is over."""
        leave(self, self.evaluation.position if self.evaluation else None)
        self.evaluation = None
        self.trace.evaluation_ends()

    def close(self) -> None:
        """The sampling is over: let go of every tensor."""
        self.evaluation, self.guidance = None, None
        self.store.clear()
        self.groups.clear()

    def group(self, key: Hashable) -> Group:
        """The group of branches with this key."""
        return self.groups.use(key, lambda: Group(self.policies, self.dynamic))

    def locate(self, evaluation: Evaluation, sigma: float) -> Position:
        """Fix where ``evaluation`` stands, its sigma being read."""
        return self._at(evaluation, self.course.locate(evaluation.index, sigma))

    def position(self, evaluation: Evaluation) -> Position:
        """Where ``evaluation`` stands; a device sync if its steps are not counted or read yet."""
        return evaluation.position or self.locate(evaluation, *read_scalars([evaluation.sigma]))

    def decide(
        self,
        group: Group,
        position: Position,
        branch: int,
        measured: Mapping[int, float | None],
    ) -> Decision:
        """Reuse as soon as one method, in order of precedence, votes for it; else compute.

        A step mask overrules them; it is heard last, since policies learn from every step.
        measured: the distances that probing methods found, by their place.
        """
        if self.idle or self.course.jumped == position.evaluation:
            return compute(idle_because(self) or Reason.CHANGED)
        votes = [
            self._vote(group, which, position, distance(self, group, which, position, branch))
            if which not in measured
            else self._vote(group, which, position, measured[which])
            for which in range(len(self.policies))
            if which not in (self.blind or ())
        ]
        decision = next((vote for vote in votes if vote.reuses), votes[0])
        return masked(decision, self.guards[0].letter(position.step), self.policies[0].name)

    def shield(self, operation: Callable[[], Result]) -> Result | None:
        """Run code of the pack: on a failure None, the cache dropped, the failure counted.

        One thread at a time: the host may call the model from a thread for each of its devices.
        """
        with self.lock:
            return shielded(operation, self._failed)

    def agree(self, ok: bool) -> bool:
        """True when all ranks say so; what one of them dropped since they last did, all drop."""
        return bool(self.shield(lambda: self.ranks.agree(ok, self.forget)))

    def forget(self) -> None:
        """Drop what was cached and learnt; the next evaluation computes, on every rank."""
        self.ranks.intact = False
        self.alarm.forget()
        self.store.clear()
        for group in self.groups.values():
            group.forget()
        if self.guidance:
            self.guidance.clear()

    def account(self) -> None:
        """Note the bytes held now, for the peak."""
        guided = self.guidance.nbytes if self.guidance else 0
        self.trace.holds(self.store.nbytes + sum(g.nbytes for g in self.groups.values()) + guided)

    def _at(self, evaluation: Evaluation, position: Position) -> Position:
        """The evaluation is there; nothing known so far serves one that is no continuation."""
        evaluation.position = position
        if self.course.jumps(position):
            self.forget()
        if self.course.advances(position):
            next_step(self)
        drop_stale(self, position)
        return position

    def _failed(self, error: Exception) -> None:
        if is_out_of_memory(error):
            self.idle, self.guidance = Reason.MEMORY, None
            self.trace.ran_out_of_memory(error)
        else:
            self.trace.failed(error)
        self.forget()

    def _vote(
        self, group: Group, which: int, position: Position, distance: float | None
    ) -> Decision:
        policy, guards = self.policies[which], self.guards[which]
        forbidden = guards.forbids(position, self.schedule.steps, group.skips_in_row)
        new = group.computed_at is None
        first = new or (which in self.timetables and not position.step)
        unknown = Reason.FIRST if first else unknown_because(policy, group.learnt)
        decision, group.states[which] = vote(
            policy, group.states[which], None if new else distance, forbidden, unknown
        )
        return decision
