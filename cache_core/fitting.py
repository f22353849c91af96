"""TeaCache's polynomial from a calibration run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DEGREE = 4
"""As published by TeaCache."""


@dataclass(frozen=True)
class PolynomialFit:
    """A polynomial, highest power first, the range of arguments it saw, and its R squared."""

    coefficients: tuple[float, ...]
    low: float
    high: float
    r_squared: float


def fit_polynomial(signal: Sequence[float], output: Sequence[float]) -> PolynomialFit | None:
    """Least squares of degree 4 from the signal's relative changes to the output's.

    None when there are too few points to leave anything to fit, or when all signals are alike.
    """
    x, y = np.asarray(signal, np.float64), np.asarray(output, np.float64)
    if len(np.unique(x)) < DEGREE + 2:
        return None
    fitted = np.polynomial.Polynomial.fit(x, y, DEGREE)
    coefficients = fitted.convert().coef[::-1]
    spread = float(((y - y.mean()) ** 2).sum())
    missed = float(((y - fitted(x)) ** 2).sum())
    r_squared = 1 - missed / spread if spread else 1.0
    return PolynomialFit(tuple(map(float, coefficients)), float(x.min()), float(x.max()), r_squared)
