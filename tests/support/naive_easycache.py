"""EasyCache of a whole sampling, written from the publication, and nothing of the pack.

At step i with latent z_i and velocity v_i: dx = mean|z_i - z_(i-1)|, whether or not i - 1 was
skipped. At a full step k = mean|v - v'| / mean|z - z'| against the full step before. eps = k dx /
mean|v of the last full step| adds up since that step; below the threshold the step is skipped and
v_i = z_i + (v - z of the last full step). The first ``ret`` steps and the last are full.
"""

import numpy as np


def mean(a):
    """mean|a|."""
    return float(np.abs(a).mean())


class NaiveEasyCache:
    """Numbers are fp64 arrays; ``margin``: how close a decision came to a tie."""

    def __init__(self, threshold, ret, steps):
        self.threshold, self.ret, self.steps = threshold, ret, steps
        self.z = self.full = self.k = None
        self.acc, self.margin, self.told, self.sums = 0.0, np.inf, "", []

    def skips(self, i, z):
        """Whether step i is skipped."""
        before, self.z = self.z, z
        known = before is not None and self.k is not None
        if known:
            self.acc += self.k * mean(z - before) / mean(self.full[1])
        self.sums.append(self.acc if known else None)
        if not known or i < self.ret or i == self.steps - 1:
            return False
        self.margin = min(self.margin, abs(self.acc - self.threshold))
        return self.acc < self.threshold

    def computed(self, z, v):
        """A full step."""
        if self.full is not None:
            self.k = mean(v - self.full[1]) / mean(z - self.full[0])
        self.full, self.acc = (z, v), 0.0

    def sample(self, z, sigmas, velocities, guidance):
        """Euler's method; velocities: of every branch, the first decides."""
        path, kept = [z], {}
        for i in range(self.steps):
            skips = self.skips(i, z)
            self.told += "R" if skips else "C"
            if not skips:
                found = {name: velocity(z, sigmas[i]) for name, velocity in velocities.items()}
                kept = {name: v - z for name, v in found.items()}
                self.computed(z, found[next(iter(velocities))])
            v = sum(guidance[name] * (z + kept[name]) for name in velocities)
            z = z + (sigmas[i + 1] - sigmas[i]) * v
            path.append(z)
        return path
