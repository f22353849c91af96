"""A toy flow: Euler's method on velocities that are known, under the cache as a host runs it."""

from dataclasses import dataclass, field

import torch
from toy import FREE, TOY, quiet

from cache_core import CacheConfig, Method, Options, Run, RunFacts, Schedule
from cache_core.branches import Chunk
from cache_core.call import Call
from cache_core.policy import Look, Verdict
from cache_core.timetable import Timetable

SHAPE = (2, 3, 2, 4, 5)
"""Of a latent: rows, channels, frames, height, width."""

BRANCHES = {"cond": 0, "uncond": 1}
GUIDANCE = {"cond": 1.75, "uncond": -0.75}
TOKENS, DIM = 8, 6
EULER = RunFacts(steps=40.0, counted=True, corrects=True)


@dataclass(frozen=True)
class Planned:
    """Computes (C) and reuses (R) as it is told."""

    plan: str
    name: str = "Planned"
    looks_at: Look = "schedule"

    def describe(self):
        return self.plan

    def timetable(self, outlook):
        return Timetable((tuple(float(what == "R") for what in self.plan),))

    def start(self):
        return None

    def judge(self, state, distance):
        return Verdict(distance > 0, distance), state

    def computed(self, state, seen):
        return state


def flow_run(
    *policies, sigmas, facts=EULER, guards=FREE, own=None, layers=4, alarm=False, **options
):
    """A prepared run; ``own``: the method's own forecast. alarm: it watches magnitudes."""
    methods = tuple(Method(policy, guards, forecast=own) for policy in policies)
    config = CacheConfig(TOY, methods, Options(**options))
    run = Run(config, Schedule.of(sigmas), lambda p: 1 - p, facts)
    run = run if alarm else quiet(run)
    run.prepare(lambda levels, signal: torch.ones(len(levels), 2))
    run.watch(layers)
    return run


def random_latent(seed=0, shape=SHAPE, dtype=torch.float64):
    """Noise."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


@dataclass
class Flow:
    """A sampling.

    velocity: of (latent, sigma, branch). blocks: of (step, branch, block) the features a block
    adds, [rows, tokens, dim], or None for the same at every step. split: a model call for each
    branch. meddles: the host writes into whatever it was given, once it has made use of it.
    """

    run: Run
    velocity: object
    names: tuple = ("cond",)
    split: bool = False
    blocks: object = None
    meddles: bool = False
    path: list = field(default_factory=list)
    told: list = field(default_factory=list)

    def sample(self, x, steps=None):
        """The path of the latent, one for every step and the last."""
        sigmas = self.run.schedule.sigmas
        self.path.append(x)
        for step in range(len(sigmas) - 1 if steps is None else steps):
            x = x + (sigmas[step + 1] - sigmas[step]) * self.evaluate(x, step, sigmas[step])
            self.path.append(x)
        return self.path

    def evaluate(self, x, step, sigma):
        """The guided velocity."""
        self.run.begin(torch.tensor([sigma] * len(x)))
        groups = [[name] for name in self.names] if self.split else [list(self.names)]
        found = {}
        for names in groups:
            out = self.call(torch.cat([x] * len(names)), names, step, sigma)
            found |= dict(zip(names, out.clone().chunk(len(names)), strict=True))
            if self.meddles:
                out.fill_(5e4)
        self.run.end()
        self.told.append(found)
        if len(found) == 1:
            return next(iter(found.values()))
        return sum(GUIDANCE[name] * value for name, value in found.items())

    def call(self, x, names, step, sigma):
        """One call of the model on the rows of these branches."""
        call = Call.of(self.run, self.chunks(x, names), x)
        if not call.settled:
            call.observe(*self.block(0, names, step))
        value = call.reuse() if call.reuses else None
        if value is None:
            for block in self.run.watching:
                call.watch(block, *self.block(block, names, step))
            rows = x.chunk(len(names))
            pairs = zip(rows, names, strict=True)
            value = call.record_output(torch.cat([self.velocity(r, sigma, n) for r, n in pairs]))
        call.close(0.0)
        if self.meddles:
            x.fill_(-5e4)
        return value

    def chunks(self, x, names):
        """The rows of each branch."""
        each = len(x) // len(names)
        signature = (tuple(x[:each].shape), x.dtype)
        return [
            Chunk(name, 0, BRANCHES[name], slice(i * each, (i + 1) * each), signature)
            for i, name in enumerate(names)
        ]

    def block(self, block, names, step):
        """Input and output of a block for the rows of these branches."""
        if self.blocks is None:
            added = [torch.ones(SHAPE[0], TOKENS, DIM) for _ in names]
        else:
            added = [self.blocks(step, name, block) for name in names]
        before = random_latent(7, torch.cat(added).shape, added[0].dtype)
        return before, before + torch.cat(added)
