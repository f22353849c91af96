"""One sampling: its schedule, its memory of computed values, its decisions, its trace."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from math import isfinite

from torch import Tensor

from .branches import Evaluation, Group
from .config import CacheConfig, Method
from .decision import Decision, Reason, compute, reuse
from .forecast import Forecast, Hold
from .schedule import Guards, Position, Schedule, guards_of
from .shield import Result, shielded
from .store import Store
from .trace import MethodInForce, Trace


class Run:
    """The state of one sampling. Created when it starts, closed when it ends, never shared.

    percent_to_sigma: the host's map from percent of the whole schedule to sigma.
    """

    def __init__(
        self,
        config: CacheConfig,
        schedule: Schedule,
        percent_to_sigma: Callable[[float], float],
    ) -> None:
        self.config = config
        self.schedule = schedule
        self.policies = [method.policy for method in config.methods]
        self.guards: list[Guards] = [
            guards_of(config.options, method.guards, schedule.steps, percent_to_sigma)
            for method in config.methods
        ]
        self.forecast: Forecast = Hold()
        self.store = Store(self.forecast.depth)
        self.groups: dict[Hashable, Group] = {}
        self.evaluation: Evaluation | None = None
        self.evaluations = 0
        self.level = "hidden" if config.options.cache_level == "hidden" else "output"
        methods = [_in_force(*pair) for pair in zip(config.methods, self.guards, strict=True)]
        self.trace = Trace(config.model, self.level, methods, schedule.steps)

    def begin(self, sigma: Tensor) -> None:
        """A model evaluation starts; ``sigma`` holds its noise level, one value per sample."""
        self.evaluation = Evaluation(self.evaluations, sigma.reshape(-1)[:1])
        self.evaluations += 1
        self.trace.evaluation_begins()

    def end(self) -> None:
        """The evaluation is over."""
        self.evaluation = None
        self.trace.evaluation_ends()

    def close(self) -> None:
        """The sampling is over: let go of every tensor."""
        self.evaluation = None
        self.store.clear()
        self.groups.clear()

    def group(self, key: Hashable) -> Group:
        """The group of branches with this key."""
        return self.groups.setdefault(key, Group(self.policies))

    def locate(self, evaluation: Evaluation, sigma: float) -> Position:
        """Fix where ``evaluation`` stands, its sigma being read."""
        position = Position(evaluation.index, self.schedule.step_of(sigma), sigma)
        evaluation.position = position
        return position

    def decide(
        self, group: Group, position: Position, distances: Sequence[float | None]
    ) -> Decision:
        """Reuse as soon as one method, in order of precedence, votes for it; else compute."""
        votes = [
            self._vote(group, which, position, distance) for which, distance in enumerate(distances)
        ]
        return next((vote for vote in votes if vote.reuses), votes[0])

    def shield(self, operation: Callable[[], Result]) -> Result | None:
        """Run code of the pack: on a failure None, the cache dropped, the failure counted."""
        return shielded(operation, self._failed)

    def forget(self) -> None:
        """Drop what was cached and learnt; the next evaluation computes."""
        self.store.clear()
        for group in self.groups.values():
            group.forget()

    def account(self) -> None:
        """Note the bytes held now, for the peak."""
        self.trace.holds(self.store.nbytes + sum(g.nbytes for g in self.groups.values()))

    def _failed(self, error: Exception) -> None:
        self.trace.failed(error)
        self.forget()

    def _vote(
        self, group: Group, which: int, position: Position, distance: float | None
    ) -> Decision:
        policy, guards = self.policies[which], self.guards[which]
        forbidden = guards.forbids(position, self.schedule.steps, group.skips_in_row)
        if distance is None:
            unknown = Reason.FIRST if group.computed_at is None else Reason.CHANGED
            return compute(forbidden or unknown)
        if not isfinite(distance):
            return compute(Reason.NOT_FINITE)
        verdict, group.states[which] = policy.judge(group.states[which], distance)
        if forbidden or not verdict.reuse:
            return compute(forbidden or Reason.ABOVE_THRESHOLD, verdict.metric)
        return reuse(policy.name, verdict.metric)


def _in_force(method: Method, guards: Guards) -> MethodInForce:
    return MethodInForce(
        method=method.policy.name,
        preset=method.preset,
        numbers=f"{method.policy.describe()}; {guards.describe()}",
        source=method.source,
        settings=dict(vars(method.policy)),
        node=method.node_id,
    )
