"""What a kept value is made of: its dtype, and with fp8 a scale for every row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .vocabulary import CacheDtype

FP8 = torch.float8_e4m3fn
"""Four bits of exponent, three of mantissa; ``torch.finfo(FP8).max`` is 448."""

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp8": FP8}
"""By the word of ``cache_dtype``; ``model`` and ``auto`` keep the dtype that was computed in."""

SLICE = 1 << 22
"""Elements that are brought to fp32 at once: the whole of a hidden residual would need GB."""

SMALLEST_SCALE = 1e-30
"""Of a row of zeros, which has no scale of its own."""

Fill = Callable[[Tensor], object]
"""Writes a value into a buffer."""

Parts = tuple[Tensor, ...]
"""A packed value: the numbers, and with fp8 the scales of their rows."""


def kept_dtype(word: CacheDtype, computed: torch.dtype) -> torch.dtype:
    """The dtype that values computed in ``computed`` are kept in."""
    return DTYPES.get(word, computed)


def shapes_of(shape: Sequence[int], dtype: torch.dtype) -> list[tuple[Sequence[int], torch.dtype]]:
    """Shape and dtype of the parts of a value: a scale in fp32 for every row of the last axis."""
    scales = [((*shape[:-1], 1), torch.float32)] if dtype == FP8 else []
    return [(shape, dtype), *scales]


def pack(fill: Fill, computed: torch.dtype, parts: Parts) -> None:
    """Write what ``fill`` writes into the parts of a packed value, on the device they are on."""
    numbers = parts[0]
    if numbers.dtype != FP8:
        fill(numbers)
        if numbers.dtype == torch.float16 and computed != torch.float16:
            limit = torch.finfo(torch.float16).max
            numbers.clamp_(-limit, limit)  # beyond fp16's range the nearest number, never infinity
        return
    value = torch.empty(numbers.shape, dtype=computed, device=numbers.device)
    fill(value)
    _scale_rows(value, *parts)


def unpack(parts: Sequence[Tensor]) -> Tensor:
    """Rows of a packed value in fp32, a tensor of their own only where they are not fp32 yet."""
    numbers = parts[0].to(torch.float32)
    return numbers if len(parts) == 1 else numbers.mul_(parts[1])


def by_rows(value: Tensor) -> Tensor:
    """[..., width] as [rows, width]."""
    return value.reshape(-1, value.shape[-1])


def slices(rows: int, width: int) -> list[slice]:
    """All rows, in slices of no more than ``SLICE`` elements, one row at least."""
    each = max(SLICE // width, 1)
    return [slice(start, start + each) for start in range(0, rows, each)]


def _scale_rows(value: Tensor, numbers: Tensor, scales: Tensor) -> None:
    """Each row over its largest magnitude, so that this becomes the largest number of fp8."""
    source, target, scale = by_rows(value), by_rows(numbers), by_rows(scales)
    for part in slices(*source.shape):
        rows = source[part].to(torch.float32)
        largest = rows.abs().amax(dim=-1, keepdim=True)
        scale[part] = (largest / torch.finfo(FP8).max).clamp_(min=SMALLEST_SCALE)
        target[part] = rows / scale[part]
