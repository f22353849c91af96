"""Many cases in little time: a part of them always, the rest in the full matrix."""

import pytest

LEVELS = ("output", "hidden")
METHODS = ("FBCache", "TeaCache")
"""A dynamic one, and a static one."""

MATRIX = pytest.mark.matrix


COMBINATIONS = (
    ("output", "FBCache"), ("hidden", "TeaCache"), ("output", "TeaCache"), ("hidden", "FBCache"),
)  # fmt: skip


def in_turn(cases, always=2):
    """(case, level, method): each case with so many of the four combinations always."""
    return [
        pytest.param(
            *(case, *COMBINATIONS[(index * always + turn) % 4]),
            marks=() if turn < always else MATRIX,
            id="-".join((case, *COMBINATIONS[(index * always + turn) % 4])),
        )
        for index, case in enumerate(cases)
        for turn in range(4)
    ]
