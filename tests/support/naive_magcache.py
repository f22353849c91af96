"""MagCache of a whole sampling in plain Python, written from the published rule, call by call.

The model is called twice a step, cond before uncond: call ``cnt`` is of branch ``cnt % 2``. Nothing
of the pack is used here.
"""


class NaiveMagCache:
    """Tells which calls are computed; ``margin``: how close an error came to the threshold."""

    def __init__(self, error, most, retention):
        self.limit, self.most, self.retention = error, most, retention
        self.margin = float("inf")

    def sample(self, cond, uncond):
        """C (computed) and R (reused) for every step: of cond, of uncond."""
        ratios = [ratio for pair in zip(cond, uncond, strict=True) for ratio in pair]
        self.memory = {0: (1.0, 0, 0.0), 1: (1.0, 0, 0.0)}
        calls = ["R" if self.skips(cnt, ratios) else "C" for cnt in range(len(ratios))]
        return "".join(calls[0::2]), "".join(calls[1::2])

    def skips(self, cnt, ratios):
        """One call; the first two have nothing to reuse."""
        if cnt < int(len(ratios) * self.retention) or cnt < 2:
            return False
        ratio, n, err = self.memory[cnt % 2]
        ratio *= ratios[cnt]
        n += 1
        err += abs(1 - ratio)
        self.margin = min(self.margin, abs(err - self.limit))
        skip = err < self.limit and n <= self.most
        self.memory[cnt % 2] = (ratio, n, err) if skip else (1.0, 0, 0.0)
        return skip


def naive_pair(cond, high, error, most, retention):
    """The steps that the script for pairs computes (its text-to-video mode), as cond sees them.

    Forced: the first share of the high noise steps, and of the low noise steps. What was added up
    before the switch is not forgotten at it.
    """
    steps, split = len(cond), 2 * high
    ratio, n, err, computed = 1.0, 0, 0.0, []
    for step in range(steps):
        cnt = 2 * step
        early = cnt < int(split * retention)
        if early or split <= cnt <= (2 * steps - split) * retention + split:
            computed.append(step)
            continue
        ratio, n = ratio * cond[step], n + 1
        err += abs(1 - ratio)
        if not (err < error and n <= most):
            computed.append(step)
            ratio, n, err = 1.0, 0, 0.0
    return computed
