"""What one sampling takes, counted at the model's last block and by the process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

PEAK_RESET, STATUS, PEAK = Path("/proc/self/clear_refs"), Path("/proc/self/status"), "VmHWM:"


class Meter:
    """Counts from `start` to `stop`; of two samplings only the one under way is counted."""

    def __init__(self) -> None:
        self.handle: Any = None
        self.rows = 0

    def start(self, model: Any) -> None:
        """`model`: the one that will be sampled, before anything is put on it."""
        self.drop()
        self.rows = 0
        block = model.get_model_object("diffusion_model").blocks[-1]
        self.handle = block.register_forward_hook(self.count)
        reset_peak()
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def count(self, _block: Any, _inputs: Any, output: Any) -> None:
        """The last block ran on some rows."""
        self.rows += len(output)

    def stop(self) -> dict[str, Any]:
        """Rows that reached the last block, seconds, and the most memory in bytes, if known."""
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        self.drop()
        return {"rows": self.rows, "seconds": wall, "cpu_seconds": cpu, "peak_rss": peak()}

    def drop(self) -> None:
        """Leaves the model as it was, also after a sampling that failed."""
        if self.handle is not None:
            self.handle.remove()
            self.handle = None


def reset_peak() -> None:
    """Lets the kernel start anew with the process's peak of memory, where it can."""
    try:
        PEAK_RESET.write_text("5")
    except OSError:
        return


def peak() -> int | None:
    """The most resident memory of the process since then in bytes; None but on Linux."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    kibibytes = [int(line.split()[1]) for line in lines if line.startswith(PEAK)]
    return kibibytes[0] * 1024 if kibibytes else None
