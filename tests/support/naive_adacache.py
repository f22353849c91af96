"""AdaCache in plain Python, written from the publication and LightX2V's port: numbers, arrays.

At a full step the change d = |f - c|_1 / |c|_1 / n of the probed features against those of the
full step before, n steps ago; the interval is that of the first key of the codebook above d, of
the last one beyond; so many steps later the next one is full. The first full step is followed by
another. With motion d is multiplied by (m / 0.385)^8 + |10 ((m / 0.385)^8 - that before) / n|, m
being |f_t - f_(t-1)|_1 / (|f_t|_1 + |f_(t-1)|_1) over neighbouring frames.
"""

import numpy as np


def interval_of(codebook, d):
    """The interval for a change."""
    for key in sorted(codebook):
        if d < key:
            return codebook[key]
    return codebook[max(codebook)]


def motion(features, frames):
    """How much neighbouring frames of [rows, tokens, dim] differ; None for a single one."""
    if frames < 2:
        return None
    rows, tokens, dim = features.shape
    clip = features.reshape(rows, frames, tokens // frames, dim)
    change = total = 0.0
    for t in range(1, frames):
        change += np.abs(clip[:, t] - clip[:, t - 1]).sum()
        total += np.abs(clip[:, t]).sum() + np.abs(clip[:, t - 1]).sum()
    return change / total


class NaiveAdaCache:
    """Decides step by step; ``margin``: how close a change came to a key of the codebook."""

    def __init__(self, codebook, steps, warmup=0, last=0, frames=None):
        self.codebook, self.steps, self.frames = codebook, steps, frames
        self.warmup, self.last = warmup, last
        self.before = self.strength = None
        self.interval, self.elapsed, self.margin = 1, 0, np.inf
        self.told, self.changes = "", []

    def plan(self, features):
        """The whole sampling; ``features``: of a step."""
        for step in range(self.steps):
            reused = self.votes(step)
            if not reused:
                self.full(features(step))
            self.told += "R" if reused else "C"
        return self.told

    def votes(self, step):
        """Whether a step is to be reused; asked once for each."""
        self.elapsed += 1
        due = self.before is None or self.elapsed >= self.interval
        return not due and self.warmup <= step < self.steps - self.last

    def full(self, now):
        """A full step."""
        strength = None if self.frames is None else motion(now, self.frames)
        strength = None if strength is None else (strength / 0.385) ** 8
        if self.before is None:
            self.interval = 1
        else:
            d = np.abs(now - self.before).sum() / np.abs(self.before).sum() / self.elapsed
            if strength is not None:
                d *= strength + abs(10 * (strength - self.strength) / self.elapsed)
            self.changes.append(d)
            self.margin = min(self.margin, *(abs(d / key - 1) for key in self.codebook))
            self.interval = interval_of(self.codebook, d)
        self.before, self.strength, self.elapsed = now, strength, 0
