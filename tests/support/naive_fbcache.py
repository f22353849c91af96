"""First block caching of a whole sampling in plain Python, written from the published rule.

Only numbers: no tensors, and nothing of the pack. The reference of a group of branches is the
feature of its deciding branch when that was last computed; skips in a row are evaluations in which
that branch was reused; a branch can be reused if it was computed when its group last was. A group
that was in neither the last evaluation nor the last step has forgotten everything.
"""

from dataclasses import dataclass, field
from itertools import count


@dataclass
class Numbers:
    """What a user can set, and the schedule."""

    sigmas: list
    threshold: float
    ema: float = 0.0
    warmup: int = 0
    last: int = 0
    most: int | None = None
    start_percent: float = 0.0
    end_percent: float = 1.0
    separate: bool = False


@dataclass
class GroupMemory:
    """What the branches that decide together remember."""

    decider: tuple | None = None
    reference: tuple | None = None
    mean: float | None = None
    skipped: int = 0
    computed_at: int = -1
    present: tuple = (0, 0)


@dataclass
class NaiveFBCache:
    """Tells the values that a sampling gets; ``margin``: how close a decision came to a tie."""

    numbers: Numbers
    margin: float = 1.0
    groups: dict = field(default_factory=dict)
    values: dict = field(default_factory=dict)
    serial: count = field(default_factory=lambda: count(1))

    def sample(self, script, sigmas):
        """For each evaluation and call the values of its conditions."""
        return [
            self.evaluate(index, calls, sigma)
            for index, (calls, sigma) in enumerate(zip(script, sigmas, strict=True))
        ]

    def evaluate(self, index, calls, sigma):
        """One evaluation: its calls decide in order."""
        seen, votes, out = {}, {}, []
        self.forget_the_absent(index, self.step_of(sigma))
        for rows in calls:
            keyed = []
            for r in rows:
                name = (r.window, r.name)
                key = (*name, seen.get(name, 0))
                seen[name] = seen.get(name, 0) + 1
                keyed.append((key, key if self.numbers.separate else r.window, r))
            out.append(self.call(index, keyed, sigma, votes))
        return out

    def call(self, index, keyed, sigma, votes):
        """One model call; ``votes`` are the decisions of this evaluation so far, by group."""
        order = {"cond": 0, "uncond": 1, "third": 2}
        deciders = {}
        for key, group, r in sorted(keyed, key=lambda item: order[item[2].name]):
            deciders.setdefault(group, (key, r))
        new = {group: who for group, who in deciders.items() if group not in votes}
        for group, (key, r) in new.items():
            votes[group] = self.vote(group, key, r, sigma) and self.usable(group, key, r)
        reuse = all(votes[group] and self.usable(group, key, r) for key, group, r in keyed)
        if not reuse:
            for key, _, r in keyed:
                self.values[key] = (index, r.tokens, float(next(self.serial)))
        for group, (_, r) in new.items():
            memory = self.groups[group]
            memory.skipped = memory.skipped + 1 if reuse else 0
            if not reuse:
                memory.computed_at, memory.reference = index, (r.feature, r.tokens)
        for _, group, _ in keyed:
            self.groups[group].present = (index, self.step_of(sigma))
        return [self.values[key][2] for key, _, _ in keyed]

    def forget_the_absent(self, index, step):
        """What was kept of a group that has missed an evaluation and a step."""
        for group, memory in self.groups.items():
            if index - memory.present[0] > 1 and step - memory.present[1] > 1:
                memory.reference, memory.mean, memory.computed_at = None, None, -1
                ours = [key for key in self.values if group in (key, key[0])]
                self.values = {k: v for k, v in self.values.items() if k not in ours}

    def vote(self, group, key, r, sigma):
        """Whether the deciding branch's feature and the guards allow a reuse."""
        memory = self.groups.setdefault(group, GroupMemory())
        if memory.decider != key:
            memory.decider, memory.reference, memory.mean = key, None, None
        if memory.reference is None or memory.reference[1] != r.tokens:
            return False
        change = abs(r.feature - memory.reference[0]) / abs(memory.reference[0])
        past = change if memory.mean is None else memory.mean
        memory.mean = self.numbers.ema * past + (1 - self.numbers.ema) * change
        if self.numbers.threshold > 0:
            self.margin = min(self.margin, abs(memory.mean - self.numbers.threshold))
        return memory.mean < self.numbers.threshold and self.allowed(sigma, memory.skipped)

    def allowed(self, sigma, skipped):
        """The guards: window, warm-up, last steps, skips in a row."""
        n, step, steps = self.numbers, self.step_of(sigma), len(self.numbers.sigmas) - 1
        inside = n.start_percent <= 1 - sigma < n.end_percent
        steady = n.warmup <= step < steps - n.last
        return inside and steady and (n.most is None or skipped < n.most)

    def step_of(self, sigma):
        """The step that starts at this noise level, or holds it."""
        steps = range(len(self.numbers.sigmas) - 1)
        return max([i for i in steps if self.numbers.sigmas[i] >= sigma * 0.9999], default=0)

    def usable(self, group, key, r):
        """Whether this branch has a value as new as its group's last computed evaluation."""
        index, tokens, _ = self.values.get(key, (-2, 0, 0.0))
        return index >= self.groups[group].computed_at and index >= 0 and tokens == r.tokens
