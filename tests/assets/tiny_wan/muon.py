"""Muon: momentum made orthogonal, for the matrices of the blocks."""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonal(matrices: Tensor) -> Tensor:
    """[N, rows, columns] -> nearly orthogonal matrices of the same row and column spaces."""
    wide = matrices.shape[-1] >= matrices.shape[-2]
    x = matrices if wide else matrices.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else x.mT


class Muon(Optimizer):
    """Nesterov momentum, then an orthogonal update; matrices of one shape go together."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every matrix [rows, columns] that has a gradient."""
        for group in self.param_groups:
            stacks = defaultdict(list)
            for weight in group["params"]:
                stacks[weight.shape].append(weight)
            for weights in stacks.values():
                self._update(weights, group["lr"], group["momentum"])

    def _update(self, weights: list[Tensor], lr: float, momentum: float) -> None:
        directions = []
        for weight in weights:
            state = self.state[weight]
            average = state.setdefault("average", torch.zeros_like(weight))
            average.lerp_(weight.grad, 1 - momentum)
            directions.append(weight.grad.lerp(average, momentum))
        scale = max(1.0, weights[0].shape[0] / weights[0].shape[1]) ** 0.5
        for weight, update in zip(weights, orthogonal(torch.stack(directions)), strict=True):
            weight.sub_(update, alpha=lr * scale)
