"""From a measurement to the tensors of a calibration file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .fitting import PolynomialFit, fit_polynomial
from .measurement import Measurement
from .teacache import relative_changes
from .vocabulary import Signal

SIGNALS: tuple[Signal, ...] = ("e", "e0")


def tensors_of(
    measurement: Measurement,
    sigmas: Sequence[float],
    embed: Callable[[Sequence[float], Signal], Tensor],
) -> dict[str, Tensor]:
    """Everything a section of a calibration holds, by name, in fp64; ``embed``: see Outlook."""
    held = {"sigmas": list(sigmas)}
    found = {name: torch.tensor(values, dtype=torch.float64) for name, values in held.items()}
    changes: list[list[float]] = []
    for branch, residuals, outputs in measurement.branches():
        rows = {
            "mag_ratio": residuals.mag_ratio,
            "norm_std": residuals.norm_std,
            "cos_dis": residuals.cos_dis,
            "output_change": outputs.changes,
        }
        for name, row in rows.items():
            found[f"{branch}.{name}"] = torch.tensor(row, dtype=torch.float64)
        found[f"{branch}.output_gram"] = outputs.gram()
        changes.append(outputs.changes)
    found["guided.output_gram"] = measurement.guided.gram()
    for signal in SIGNALS:
        found.update(_signal(signal, relative_changes(embed(sigmas, signal)), changes))
    return found


def not_finite(tensors: dict[str, Tensor]) -> str | None:
    """The name of the first tensor that holds something that is no number, None if all are fine."""
    return next((n for n, t in tensors.items() if not bool(torch.isfinite(t).all())), None)


def _signal(signal: Signal, own: list[float], outputs: list[list[float]]) -> dict[str, Tensor]:
    """The signal's changes and the polynomial from them to the changes of all branches' outputs."""
    found = {f"{signal}.change": torch.tensor(own, dtype=torch.float64)}
    points = [pair for output in outputs for pair in zip(own[1:], output[1:], strict=True)]
    fit = fit_polynomial([x for x, _ in points], [y for _, y in points])
    return found if fit is None else {**found, **_fit(signal, fit)}


def _fit(signal: Signal, fit: PolynomialFit) -> dict[str, Tensor]:
    rows = {
        "coefficients": list(fit.coefficients),
        "fit_range": [fit.low, fit.high],
        "r_squared": [fit.r_squared],
    }
    return {f"{signal}.{n}": torch.tensor(r, dtype=torch.float64) for n, r in rows.items()}
