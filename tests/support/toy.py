"""A toy sampler and model, enough of one to drive a run of the cache as a host does.

A script says what the sampler asks for: a list of evaluations, each a list of model calls, each a
list of ``Rows``. The model counts what it computes and returns the counts, so that an output tells
when its rows were computed.
"""

from dataclasses import dataclass
from itertools import count

import torch

from cache_core import CacheConfig, FBCache, Identity, Method, Options, Run, Schedule
from cache_core.branches import Chunk
from cache_core.call import Call
from cache_core.config import GuardDefaults
from cache_core.variants import variants_of

BRANCHES = {"cond": 0, "uncond": 1, "third": 2}
DIM = 4
BATCH = 2
TOY = Identity("other", "t2v", DIM, 1, variants_of("t2v", "other", 16, False))
FREE = GuardDefaults(warmup_ratio=0.0, last_steps=0, max_consecutive_skips=None)


@dataclass(frozen=True)
class Rows:
    """The rows of one condition in a model call, and how large block 0's residual is in them."""

    name: str
    feature: float = 1.0
    window: int = 0
    tokens: int = 6

    @property
    def chunk_parts(self):
        """Everything of their chunk but the place in the batch."""
        return {
            "key": (self.window, self.name),
            "group": self.window,
            "branch": BRANCHES[self.name],
            "signature": ((BATCH, self.tokens), torch.float32),
        }


class ToyModel:
    """Block 0 adds the rows' feature times a fixed pattern; the rest counts its computations."""

    def __init__(self):
        self.numbers = count(1)
        self.full_runs = 0

    def block_0(self, rows):
        """Input and output of block 0: [rows, tokens, dim] each."""
        tokens = rows[0].tokens
        generator = torch.Generator().manual_seed(tokens)
        before, pattern = torch.randn(2, tokens, DIM, generator=generator)
        sizes = torch.tensor([r.feature for r in rows for _ in range(BATCH)])
        before = before.expand(len(sizes), -1, -1)
        return before, before + sizes[:, None, None] * pattern

    def rest(self, rows):
        """The output: for each condition the number of its computation."""
        self.full_runs += 1
        return torch.tensor([[float(n)] for _ in rows for n in [next(self.numbers)] * BATCH])


def chunks_of(rows):
    """The chunks of a model call."""
    return [
        Chunk(**r.chunk_parts, rows=slice(i * BATCH, (i + 1) * BATCH)) for i, r in enumerate(rows)
    ]


def make_run(policy=None, *more, steps=20, guards=FREE, forecast="hold", **options):
    """A run over an even schedule from 1 to 0, percent p being sigma 1 - p."""
    policies = (policy or FBCache(0.1, downsample=1), *more)
    methods = tuple(Method(policy, guards) for policy in policies)
    schedule = Schedule.of(torch.linspace(1, 0, steps + 1).tolist())
    config = CacheConfig(TOY, methods, Options(forecast=forecast, **options))
    return quiet(Run(config, schedule, lambda p: 1 - p))


def quiet(run):
    """The run without its collapse alarm: a toy's outputs are numbers, no velocities in a band."""
    run.alarm.watch = lambda *args, **kwargs: None
    return run


def call_of(run, rows):
    """A model call on an input of zeros."""
    return Call.of(run, chunks_of(rows), torch.zeros(len(rows) * BATCH, 1))


def forward(run, rows, model):
    """One model call under the cache, as the host's wrappers make it: the values of its rows."""
    call = call_of(run, rows)
    if not call.settled:
        call.observe(*model.block_0(rows))
    value = call.reuse() if call.reuses else None
    if value is None:
        value = call.record_output(model.rest(rows))
    call.close(0.0)
    return value


def evaluate(run, calls, sigma, model):
    """One evaluation: for each call the values of its conditions, one each."""
    run.begin(torch.tensor([sigma] * BATCH))
    try:
        return [forward(run, rows, model)[::BATCH, 0].tolist() for rows in calls]
    finally:
        run.end()


def sample(run, script, sigmas=None, model=None):
    """The whole script, an evaluation a step unless ``sigmas`` says where: values as above."""
    model = model or ToyModel()
    points = run.schedule.sigmas[: len(script)] if sigmas is None else sigmas
    return [evaluate(run, *pair, model) for pair in zip(script, points, strict=True)]


def batched(*features, names=("cond", "uncond"), **more):
    """A script with one call an evaluation in which all ``names`` have the same feature."""
    return [[[Rows(name, feature, **more) for name in names]] for feature in features]


def split(*features, names=("cond", "uncond"), **more):
    """A script with a call for each of ``names``."""
    return [[[Rows(name, feature, **more)] for name in names] for feature in features]


def story(run):
    """What happened, one text an evaluation: 'cond compute (first evaluation), ...'."""
    told = {}
    for record in run.trace.records:
        words = f"{record.branch} {record.action.value} ({record.reason.value})"
        told.setdefault(record.evaluation, []).append(words)
    return [", ".join(words) for _, words in sorted(told.items())]


def pattern(run, branch="cond"):
    """Computed (C) and reused (R) evaluations of a branch, in order."""
    records = [record for record in run.trace.records if record.branch == branch]
    return "".join("R" if record.method else "C" for record in records)
