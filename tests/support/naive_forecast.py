"""Forecasts in plain Python, on values instead of weights, written from their publications.

Only numbers or arrays: no tensors, and nothing of the pack.
"""

from math import factorial, log


def abscissa(axis, step, sigma):
    """Where a step lies on a time axis; log-SNR of a flow, sigma kept off its ends."""
    if axis == "step":
        return float(step)
    if axis == "sigma":
        return sigma
    inside = max(0.002, min(0.998, sigma))
    return log(1 - inside) - log(inside)


def neville(points, values, at):
    """The interpolating polynomial at a point, by Neville's scheme."""
    column = list(values)
    for width in range(1, len(points)):
        for i in range(len(points) - width):
            left, right = points[i], points[i + width]
            mixed = (at - right) * column[i] + (left - at) * column[i + 1]
            column[i] = mixed / (left - right)
    return column[0]


class NaiveTaylorSeer:
    """TaylorSeer's factors: renewed at every full step, evaluated at every cached one.

    At a full step with the gap g to the one before: D_0 = F, D_(i+1) = (D_i - D_i before) / g for
    i < order, as many as the steps so far allow. In between F = sum of D_i d^i / i!.
    """

    def __init__(self, order):
        self.order, self.factors, self.at = order, [], None

    def full(self, at, value):
        """A full step."""
        renewed = [value]
        for before in self.factors[: self.order]:
            renewed.append((renewed[-1] - before) / (at - self.at))
        self.factors, self.at = renewed, at

    def cached(self, at, term=lambda i, d: d**i):
        """A cached step; ``term`` is what takes the place of d^i."""
        d = at - self.at
        return sum(f * term(i, d) / factorial(i) for i, f in enumerate(self.factors))


def hicache_term(i, d):
    """HiCache: s^i H_i(s d) with s = 1/2 and the physicists' Hermite polynomials."""
    x = d / 2
    return (1.0, 2 * x, 4 * x**2 - 2, 8 * x**3 - 12 * x)[i] / 2**i


class NaiveEuler:
    """Euler's method with a plan of computed (C) and reused (R) steps on velocities v(x, sigma).

    Reused steps go with a polynomial through the newest ``order`` + 1 computed velocities in
    log-SNR. When a step is computed, the path since the last computed one is rewritten: all reused
    steps are gone again with velocities interpolated through at most three of the kept and the new
    one, and only then the computed step itself.
    """

    def __init__(self, sigmas, velocity, order, corrects):
        self.sigmas, self.velocity = sigmas, velocity
        self.depth, self.corrects = order + 1, corrects
        self.known = []
        self.reused = []

    def sample(self, x, plan):
        """Every latent from the first to the last."""
        path = [x]
        for step, what in enumerate(plan):
            go = self._computed if what == "C" else self._reused
            path.append(go(path, step))
        return path

    def _point(self, step):
        return abscissa("logsnr", step, self.sigmas[step])

    def _length(self, step):
        return self.sigmas[step + 1] - self.sigmas[step]

    def _through(self, steps_and_values, at):
        points = [self._point(step) for step, _ in steps_and_values]
        return neville(points, [value for _, value in steps_and_values], self._point(at))

    def _reused(self, path, step):
        self.reused.append(step)
        return path[-1] + self._length(step) * self._through(self.known[-self.depth :], step)

    def _computed(self, path, step):
        velocity = self.velocity(path[-1], self.sigmas[step])
        x = path[-1]
        if self.corrects and self.reused:
            x = path[self.reused[0]]
            between = [*self.known[-self.depth :], (step, velocity)][-3:]
            for earlier in self.reused:
                x = x + self._length(earlier) * self._through(between, earlier)
        self.known.append((step, velocity))
        self.reused = []
        return x + self._length(step) * velocity
