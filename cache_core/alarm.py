"""The collapse alarm: what is reused, and what is computed after it, has to stay in the band.

A trajectory that has collapsed keeps looking similar to itself, so no policy ever stops reusing it.
What it does not keep is its magnitude: a velocity's, or a residual's, changes by a few percent from
step to step, and by less than half over the longest series of reused steps.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Set
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from .recent import Recent

log = logging.getLogger(__name__)

BAND = 2.0
"""A magnitude more than so many times, or less than one so-manieth, of the last computed one."""

LETTERS = 64
"""Magnitudes under way at most; more are not sent."""

Branch = tuple[Hashable, Hashable]
"""Key and signature."""


class Mailbox:
    """Scalars on their way from the device, read when they have arrived: no GPU of CUDA waits."""

    def __init__(self, cuda: bool) -> None:
        self.cuda = cuda
        with torch.inference_mode(False):  # threads of the host write here too, in another mode
            self.seen = np.zeros(LETTERS, np.float32)
            self.box = torch.from_numpy(self.seen)
            if cuda:
                self.box = self.box.pin_memory()  # a copy: letters go there
                self.seen = self.box.numpy()
        self.sent: list[tuple[int, torch.cuda.Event | None]] = []

    def post(self, scalar: Tensor) -> int | None:
        """Send a scalar; the slot it will be in, None if the box is full."""
        taken = {slot for slot, _ in self.sent}
        slot = next((slot for slot in range(LETTERS) if slot not in taken), None)
        if slot is None:
            return None
        self.box[slot].copy_(scalar, non_blocking=self.cuda)  # elsewhere nothing tells it is there
        stream = torch.cuda.current_stream(scalar.device) if self.cuda else None
        self.sent.append((slot, stream.record_event() if stream else None))
        return slot

    def arrived(self) -> list[tuple[int, float]]:
        """Slots and values of all that have arrived, in the order sent."""
        ready = 0
        while ready < len(self.sent) and _done(self.sent[ready][1]):
            ready += 1
        found = [(slot, float(self.seen[slot])) for slot, _ in self.sent[:ready]]
        del self.sent[:ready]
        return found


def _done(event: torch.cuda.Event | None) -> bool:
    return event is None or bool(event.query())  # type: ignore[no-untyped-call]


@dataclass
class Magnitude:
    """Of a branch: the last computed one, None before there is any, and whether it was reused."""

    computed: float | None = None
    reused_since: bool = False


class Alarm:
    """Magnitudes of one run, by branch: what is reused, and what comes after it, has to fit.

    A branch is told by its key, and by the signature of its values, which weights are part of.
    rung: what was wrong, in words, None while all is well.
    """

    def __init__(self) -> None:
        self.mailbox: Mailbox | None = None
        self.expected: dict[int, tuple[Branch, bool]] = {}
        self.known: Recent[Branch, Magnitude] = Recent()
        self.rung: str | None = None

    def watch(self, branch: Branch, value: Tensor, reused: bool) -> None:
        """A value was computed or reused; its magnitude is looked at later."""
        self.mailbox = self.mailbox or Mailbox(value.is_cuda)
        wide = None if value.dtype.itemsize >= 4 else torch.float32
        norm = torch.linalg.vector_norm(value, dtype=wide)
        slot = self.mailbox.post(norm)
        if slot is not None:
            self.expected[slot] = branch, reused

    def look(self) -> None:
        """Look at the magnitudes that have arrived."""
        for slot, norm in self.mailbox.arrived() if self.mailbox else ():
            branch, reused = self.expected.pop(slot)
            self._compare(branch, norm, reused)

    def drop(self, keys: Set[Hashable]) -> None:
        """Forget the branches with these keys."""
        for branch in [branch for branch in self.known if branch[0] in keys]:
            del self.known[branch]

    def forget(self) -> None:
        """Back to knowing nothing."""
        self.mailbox, self.expected = None, {}
        self.known.clear()

    def _compare(self, branch: Branch, norm: float, reused: bool) -> None:
        known = self.known.use(branch, Magnitude)
        if known.computed is not None and (reused or known.reused_since):
            self._judge(norm, known.computed, reused)
        known.reused_since = reused
        known.computed = known.computed if reused else norm

    def _judge(self, norm: float, before: float, reused: bool) -> None:
        ratio = norm / before if before else float("inf")
        if self.rung or (isfinite(ratio) and 1 / BAND <= ratio <= BAND):
            return
        what = "a reused value" if reused else "the value computed after reused ones"
        self.rung = f"collapse alarm: {what} has {ratio:.3g} times the magnitude of the last one"
        log.warning("Wan Step Cache: %s; computing the rest of this run", self.rung)
