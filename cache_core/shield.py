"""The one broad except of the pack: a cache may cost time, it may never spoil a render."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def shielded(operation: Callable[[], Result], failed: Callable[[Exception], None]) -> Result | None:
    """Run code of ours in the middle of a render: None after any failure, which ``failed`` gets.

    Interrupts of the host (BaseException in current ones) pass; what lack of memory means is for
    ``failed`` to say.
    """
    try:
        return operation()
    except Exception as error:  # named failure: a defect or lack of memory in the pack itself
        failed(error)
        return None
