"""What a calibration measures while a sampler runs, every step of it computed."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from math import sqrt

import torch
from torch import Tensor

from .branches import Chunk
from .passes import Passes

SLICE = 4096
"""Tokens whose statistics are taken at once: fp32 copies of a whole residual could need GB."""

ELEMENTS = 1 << 18
"""Elements of every step's output that a Gram matrix takes in at once."""


class ResidualMeter:
    """How one branch's residual changes from step to step (MagCache, calibration of the official
    scripts): over all tokens, the mean of |r_t| / |r_(t-1)| (``mag_ratio``), its standard deviation
    (``norm_std``), and the mean of 1 - cos(r_t, r_(t-1)) (``cos_dis``).

    The residual before is kept on the CPU: a calibration must fit wherever the model runs.
    """

    def __init__(self) -> None:
        self.before: Tensor | None = None
        self.mag_ratio, self.norm_std, self.cos_dis = [1.0], [0.0], [0.0]

    def add(self, residual: Tensor) -> None:
        """The residual of the next step: [rows, tokens, dim]."""
        if self.before is not None:
            self._compare(residual.flatten(0, 1), self.before)
        self.before = residual.flatten(0, 1).to("cpu", copy=True)

    def _compare(self, now: Tensor, before: Tensor) -> None:
        sums = torch.zeros(3, dtype=torch.float64)
        for tokens, past in zip(torch.split(now, SLICE), torch.split(before, SLICE), strict=True):
            sums += _sums(tokens.float(), past.to(tokens.device).float())
        ratios, squares, distances = sums.tolist()
        count = len(now)
        mean = ratios / count
        self.mag_ratio.append(mean)
        self.norm_std.append(sqrt(max(squares - count * mean**2, 0.0) / max(count - 1, 1)))
        self.cos_dis.append(distances / count)


def _sums(now: Tensor, before: Tensor) -> Tensor:
    """Sums over tokens of ratio, ratio squared and cosine distance, in fp64, which not every device
    knows: on the CPU.
    """
    ratio = (now.norm(dim=-1) / before.norm(dim=-1)).cpu().double()
    cosine = torch.nn.functional.cosine_similarity(now, before, dim=-1).cpu().double()
    return torch.stack([ratio.sum(), ratio.square().sum(), (1 - cosine).sum()])


class OutputMeter:
    """The outputs of one branch, or of guidance, over all steps."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []
        self.changes = [0.0]

    def add(self, value: Tensor) -> None:
        """The velocity of the next step, of any shape."""
        flat = value.flatten().to("cpu", copy=True)
        if self.values:
            before = self.values[-1].float()
            self.changes.append(float((flat.float() - before).abs().mean() / before.abs().mean()))
        self.values.append(flat)

    def gram(self) -> Tensor:
        """Inner products of all pairs of outputs: [steps, steps], fp64.

        The error of any linear forecast from any steps follows from it.
        """
        total = torch.zeros(len(self.values), len(self.values), dtype=torch.float64)
        for start in range(0, self.values[0].numel(), ELEMENTS):
            part = torch.stack([v[start : start + ELEMENTS] for v in self.values]).double()
            total += part @ part.T
        return total


class Measurement:
    """One sampling, measured. ``problem`` says why it cannot become a calibration, None if it can.

    The model is called once or more in an evaluation, and has to see the same one condition for
    each branch in all of them.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.residuals: dict[int, ResidualMeter] = {}
        self.outputs: dict[int, OutputMeter] = {}
        self.guided = OutputMeter()
        self.keys: dict[int, Hashable] = {}
        self.seen: set[int] = set()
        self.evaluations = 0
        self.problem: str | None = None
        self.passes = Passes()

    def begin(self) -> None:
        """A model evaluation starts."""
        self.evaluations += 1
        self.seen = set()
        self.passes.begin()

    def end(self, guided: Tensor) -> None:
        """A model evaluation is over; ``guided`` is the velocity the sampler goes by."""
        if self.seen != set(self.keys):
            self.fail("its branches change during the run (CFG that is switched, timed prompts)")
        self.guided.add(guided)

    def call(self, chunks: Sequence[Chunk], residual: Tensor, output: Tensor) -> None:
        """A model call: its residual [rows, tokens, dim] and output [rows, ...], by chunks."""
        for chunk in chunks:
            self._know(chunk)
            self.residuals.setdefault(chunk.branch, ResidualMeter()).add(residual[chunk.rows])
            self.outputs.setdefault(chunk.branch, OutputMeter()).add(output[chunk.rows])
            self.seen.add(chunk.branch)

    def fail(self, problem: str) -> None:
        """It cannot become a calibration; the first problem counts."""
        self.problem = self.problem or problem

    def finish(self) -> None:
        """The sampling is over: is everything there?"""
        if self.evaluations != self.steps:
            self.fail(f"it ended after {self.evaluations} evaluations for {self.steps} steps")
        if self.steps < 2:
            self.fail("it has one step, and nothing to compare it with")
        if not self.keys:
            self.fail("its model was never called as expected (compiled as a whole?)")

    def branches(self) -> Iterator[tuple[str, ResidualMeter, OutputMeter]]:
        """What was measured of every branch, cond first."""
        for branch, residuals in sorted(self.residuals.items()):
            yield ("cond", "uncond")[branch], residuals, self.outputs[branch]

    def _know(self, chunk: Chunk) -> None:
        if chunk.branch > 1 or chunk.branch in self.seen:
            self.fail("it has more than one positive and one negative condition")
        if self.evaluations > 1 and chunk.branch not in self.keys:
            self.fail("its branches change during the run (CFG that is switched, timed prompts)")
        if self.keys.setdefault(chunk.branch, chunk.key) != chunk.key:
            self.fail("its conditions change during the run (context windows, timed prompts)")
