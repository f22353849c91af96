"""A toy flow whose tokens are shared out over two ranks, alone, together, or in one process.

What a rank sees is made of ones and minus ones, a few more of which turn over at every step on rank
1 and none on rank 0: the relative change of the whole is then the mean of the two ranks' changes.
"""

import os
import sys
from datetime import timedelta
from functools import partial

import torch
import torch.distributed as dist
from flow import DIM, SHAPE, TOKENS, Flow, Planned, flow_run
from torch import multiprocessing

from cache_core import FBCache
from cache_core.adacache import AdaCache
from cache_core.easycache import EasyCache
from cache_core.ranks import Ranks

STEPS, FAULT, WAIT = 16, 7, 10
"""FAULT: the step at which one rank goes wrong. WAIT: seconds after which a rank gives up."""

SHARE = 0.1
"""Of the elements on rank 1 that turn over at a step: a relative change of 0.2, here 0.1."""

POLICIES = {
    "FBCache": FBCache(0.15, downsample=1),
    "EasyCache": EasyCache(0.15),
    "AdaCache": AdaCache(((0.05, 4), (0.15, 2), (1.0, 1)), downsample=1),
    "Planned": Planned("CCRRCRCR" * 2),
}
SIGMAS = torch.linspace(1, 0, STEPS + 1).tolist()


def turned(step, side, shape):
    """What a rank sees at a step."""
    size = torch.Size(shape).numel()
    each = round(size * SHARE)
    signs = torch.ones(size)
    for number in range(step * each * side):
        signs[number % size] *= -1
    return signs.view(shape)


def step_of(sigma):
    """The schedule is even."""
    return round((1 - sigma) * STEPS)


def true_velocity(step, sides):
    """What the model gives for the tokens of these sides."""
    return torch.cat([turned(step, side, SHAPE) for side in sides], -1)


def flow_of(run, sides, wait=lambda: None, features=turned):
    """The flow of these sides' tokens; ``wait`` is called in the model, behind block 0."""

    def velocity(x, sigma, name):
        wait()
        return true_velocity(step_of(sigma), sides)

    def blocks(step, name, block):
        return torch.cat([features(step, s, (SHAPE[0], TOKENS, DIM)) for s in sides], 1)

    return Flow(run, velocity, blocks=blocks)


def sampled(policy, sides=(0, 1), ranks=None, prepare=None, features=turned, **options):
    """A run that has sampled; ``prepare(run)`` is called before the step of the fault."""
    options = {"forecast": "hold", **options}
    run = flow_run(policy, sigmas=SIGMAS, **options)
    run.ranks, run.kept, run.raw = ranks or run.ranks, [], []
    wait = dist.barrier if ranks and not ranks.alone else lambda: None
    flow = flow_of(run, sides, wait, features)
    x = torch.zeros(*SHAPE[:-1], SHAPE[-1] * len(sides))
    for step in range(STEPS):
        if step == FAULT and prepare:
            prepare(run)
        velocity = flow.evaluate(x, step, SIGMAS[step])
        run.kept.append([[p.step for p in h.positions] for h in run.store.histories.values()])
        run.raw.append(torch.equal(velocity, true_velocity(step, sides)))
        x = x + (SIGMAS[step + 1] - SIGMAS[step]) * velocity
    return run


def told(run):
    """What a run can be compared by with that of another process.

    kept: after each step the steps whose values it holds; raw: was its velocity the model's own?
    """
    records = run.trace.records
    return {
        "pattern": "".join("R" if r.method else "C" for r in records),
        "reasons": [r.reason.value for r in records],
        "metrics": [r.metric for r in records],
        "errors": run.trace.errors,
        "kept": run.kept,
        "raw": run.raw,
    }


def default():
    """The ranks of the default group."""
    return Ranks.of(None, torch.device("cpu"))


def together(name, rank, **more):
    """What a rank tells of a sampling with the other."""
    return told(sampled(POLICIES[name], (rank,), default(), **more))


def not_a_number(rank):
    """Rank 1 measures what is none, once."""

    def features(step, side, shape):
        return turned(step, side, shape) * (float("nan") if (step, side) == (FAULT, 1) else 1)

    return together("FBCache", rank, features=features)


def forgetful(rank):
    """Rank 1 has nothing to reuse, once."""
    return together("FBCache", rank, prepare=lambda run: run.store.clear() if rank else None)


class Broken:
    """Anything, of which one method fails at the n-th call of it."""

    def __init__(self, whole, name, at):
        self.whole, self.failing, self.left = whole, name, at

    def __getattr__(self, name):
        method = getattr(self.whole, name)
        return partial(self._attempt, method) if name == self.failing else method

    def _attempt(self, method, *args):
        self.left -= 1
        if self.left == 0:
            raise ZeroDivisionError("on purpose")
        return method(*args)


def broken(name, rank, of="FBCache"):
    """A part of the policy fails on rank 1 at its third call."""
    whole = POLICIES[of]
    policy = Broken(whole, name, 3) if rank else whole
    return told(sampled(policy, (rank,), default(), forecast="auto"))


def failing(owner, name, at, rank, who=1, policy="FBCache"):
    """A part of the run fails on one rank at its n-th call from the step of the fault on."""

    def sabotage(run):
        if rank == who:
            setattr(run, owner, Broken(getattr(run, owner), name, at))

    return together(policy, rank, prepare=sabotage, forecast="auto")


def counted(name, rank, ranks=None):
    """How many numbers each message of a sampling held."""
    sent, send = [], dist.all_reduce

    def counting(tensor, *args, **kwargs):
        sent.append(tensor.numel())
        return send(tensor, *args, **kwargs)

    dist.all_reduce = counting
    try:
        run = sampled(POLICIES[name], (rank,), ranks or default())
    finally:
        dist.all_reduce = send
    return {"sent": sent, **told(run)}


def grouped(rank):
    """Whether a rank is alone by default, in groups of both, of each, and by a word."""
    groups = [dist.new_group([0, 1]), dist.new_group([0]), dist.new_group([1])]
    return [Ranks.of(group, torch.device("cpu")).alone for group in (None, *groups, "off")]


SCENARIOS = {
    **{name: partial(together, name) for name in POLICIES},
    "not a number": not_a_number,
    "no history": forgetful,
    **{f"broken {part}": partial(broken, part) for part in ("features", "distance", "judge")},
    **{f"broken {part}": partial(broken, part) for part in ("skipped", "computed")},
    "broken watch": partial(broken, "features", of="AdaCache"),
    "broken latent": partial(broken, "distance", of="EasyCache"),
    "broken plan": partial(broken, "judge", of="Planned"),
    "failed forecast": partial(failing, "forecast", "weights", 1),
    "failed settling": partial(failing, "store", "history", 2),
    "failed record": partial(failing, "store", "history", 4),
    "corrected": partial(together, "Planned", forecast="auto"),
    "failed correction": partial(failing, "schedule", "length", 2, who=0, policy="Planned"),
    "counted": partial(counted, "FBCache"),
    "counted static": partial(counted, "Planned"),
    "counted alone": lambda rank: counted("FBCache", rank, Ranks()),
    "groups": grouped,
}


def serve(rank, folder):
    """A rank: all scenarios, and what they told in a file of the folder."""
    torch.set_num_threads(1)
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2,
        timeout=timedelta(seconds=WAIT),
    )  # fmt: skip
    told_of = {name: scenario(rank) for name, scenario in SCENARIOS.items()}
    torch.save(told_of, f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()


def both(folder, seconds=60):
    """What the two ranks told: {scenario: (of rank 0, of rank 1)}."""
    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=serve, args=(rank, folder), daemon=True) for rank in (0, 1)]
    for process in ranks:
        process.start()
    try:
        for process in ranks:
            process.join(seconds)
        assert [process.exitcode for process in ranks] == [0, 0], "a rank failed or hangs"
    finally:
        for process in ranks:
            process.kill()
    found = [torch.load(f"{folder}/rank{rank}.pt") for rank in (0, 1)]
    return {name: (found[0][name], found[1][name]) for name in SCENARIOS}
