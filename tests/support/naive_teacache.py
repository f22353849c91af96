"""TeaCache of a whole sampling in numpy, written from the published rule, call by call.

The model is called twice a step, cond before uncond: call ``cnt`` is of branch ``cnt % 2``. Nothing
of the pack is used here. The time MLP is a stand-in for a checkpoint's: two layers and a projection
with random weights; large biases make its output change little from step to step, as trained ones.
"""

import math
from itertools import pairwise

import numpy as np
import torch


def naive_sinusoid(timestep, dim):
    """Cosines, then sines, of a timestep times 10000^(-i / (dim / 2)), in fp64."""
    half = dim // 2
    angles = [timestep * math.exp(-math.log(10000) * i / half) for i in range(half)]
    return np.array([*map(math.cos, angles), *map(math.sin, angles)])


def silu(values):
    """x * sigmoid(x)."""
    return values / (1 + np.exp(-values))


class TimeMLP:
    """A stated time embedding e and its projection e0, in numpy and as a host would give them."""

    def __init__(self, seed, bias, dim=48, frequencies=256):
        draw = np.random.default_rng(seed).standard_normal
        sizes = [(dim, frequencies), (dim, dim), (6 * dim, dim)]
        self.frequencies = frequencies
        self.weights = [draw(size) / math.sqrt(size[1]) for size in sizes]
        self.biases = [bias * draw(size[0]) for size in sizes]

    def layer(self, which, values):
        """One linear layer."""
        return self.weights[which] @ values + self.biases[which]

    def signal(self, timestep, name):
        """e or e0 at one timestep, in fp64."""
        e = self.layer(1, silu(self.layer(0, naive_sinusoid(timestep, self.frequencies))))
        return e if name == "e" else self.layer(2, silu(e))

    def embed(self, sigmas, name):
        """As an Outlook asks for it: [sigmas, features] in fp32."""
        rows = [self.signal(1000 * sigma, name) for sigma in sigmas]
        return torch.tensor(np.stack(rows)).float()


def naive_changes(rows):
    """mean|m - m_prev| / mean|m_prev| of every row to the one before."""
    return [np.abs(now - before).mean() / np.abs(before).mean() for before, now in pairwise(rows)]


class NaiveTeaCache:
    """Tells which calls are computed; ``margin``: how close a sum came to the threshold."""

    def __init__(self, coefficients, threshold, use_ret_steps, steps):
        self.polynomial = np.poly1d(coefficients)
        self.threshold = threshold
        self.ret_steps = 5 * 2 if use_ret_steps else 1 * 2
        self.cutoff_steps = 2 * steps if use_ret_steps else 2 * steps - 2
        self.calls = 2 * steps
        self.previous, self.accumulated = {}, {0: 0.0, 1: 0.0}
        self.margin = math.inf
        self.increments = []

    def sample(self, signals):
        """C (computed) and R (reused) for every step, the same for both branches."""
        calls = ["R" if self.skips(cnt, signals[cnt // 2]) else "C" for cnt in range(self.calls)]
        assert calls[0::2] == calls[1::2]
        return "".join(calls[0::2])

    def skips(self, cnt, modulated):
        """One call: step-to-step changes are added up since the last computed call."""
        branch, skip = cnt % 2, False
        if cnt < self.ret_steps or cnt >= self.cutoff_steps:
            self.accumulated[branch] = 0.0
        else:
            change = naive_changes([self.previous[branch], modulated])[0]
            self.increments.append(self.polynomial(change))
            self.accumulated[branch] += self.increments[-1]
            self.margin = min(self.margin, abs(self.accumulated[branch] - self.threshold))
            skip = self.accumulated[branch] < self.threshold
            self.accumulated[branch] *= skip
        self.previous[branch] = modulated
        return skip
