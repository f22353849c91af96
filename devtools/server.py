"""Starts and stops a real ComfyUI with the pack and the tiny test model in it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from .client import ComfyClient
from .errors import DevError
from .host_runtime import PATIENT_THREADS, host_path
from .paths import ROOT

TINY_WAN = ROOT / "tests" / "assets" / "tiny_wan"
PACKS = {"wan-step-cache": ROOT, "tiny_wan": TINY_WAN}
FLAGS = (
    "--database-url=sqlite:///:memory:",
    "--disable-api-nodes",
    "--disable-auto-launch",
)
START_SECONDS = 240.0
STOP_SECONDS = 10.0
LOG_TAIL = 25
ADDRESS = "127.0.0.1"
NOT_COPIED = (".git", "__pycache__", "demo-out")


class ComfyServer(ComfyClient):
    """A ComfyUI process; use it in a `with` statement.

    Without arguments it is the one dev.py chose, in a temporary base directory that is
    removed at the end; a `base` that is given stays, and so does a temporary one with `keep`.
    """

    def __init__(
        self,
        comfyui: Path | None = None,
        python: Path | None = None,
        *,
        base: Path | None = None,
        keep: bool = False,
        port: int = 0,
        flags: Sequence[str] = ("--cpu",),
        packs: Mapping[str, Path] = PACKS,
    ) -> None:
        self.comfyui = comfyui or host_path()
        self.python = python or Path(sys.executable)
        self.port = free_port(port)
        super().__init__(f"http://{ADDRESS}:{self.port}")
        self.keep = keep or base is not None
        self.base = base or Path(tempfile.mkdtemp(prefix="wan-step-cache-"))
        self.log = self.base / "server.log"
        self.flags = tuple(flags)
        self.packs = packs
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ComfyServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> ComfyServer:
        """Starts it and waits until it answers."""
        with ExitStack() as undo:
            undo.callback(self.stop)
            self._lay_out()
            with self.log.open("wb") as log:
                self.process = self._launch(log)
            self._wait_until_up()
            undo.pop_all()
        return self

    def stop(self) -> None:
        """Ends the process and removes a temporary base directory."""
        try:
            if self.process is not None:
                _end(self.process)
        finally:
            if not self.keep:
                shutil.rmtree(self.base, ignore_errors=True)

    def log_text(self) -> str:
        """Everything the server has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def check(self) -> None:
        """Raises with the end of the log if the process has ended."""
        if self.process is not None and self.process.poll() is not None:
            raise DevError(f"ComfyUI ended by itself; its last lines:\n{self.log_tail()}")

    def _lay_out(self) -> None:
        for name, source in self.packs.items():
            if source.exists():
                place(source, self.base / "custom_nodes" / name)
        for weights in TINY_WAN.glob("*.safetensors"):
            place(weights, self.base / "models" / "diffusion_models" / weights.name)
        pictures = self.base / "input"
        pictures.mkdir(parents=True, exist_ok=True)
        for example in (self.comfyui / "input").glob("example.*"):
            shutil.copy2(example, pictures)  # ComfyUI follows no links out of the folder

    def _launch(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        where = (f"--listen={ADDRESS}", f"--port={self.port}", f"--base-directory={self.base}")
        main = str(self.comfyui / "main.py")
        return subprocess.Popen(
            [str(self.python), main, *where, *FLAGS, *self.flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=self.base,
            env=_variables(),
        )

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            self.check()
            if time.monotonic() > deadline:
                raise DevError(f"ComfyUI did not answer in time; its log:\n{self.log_tail()}")
            time.sleep(0.2)
        self.check()

    def log_tail(self) -> str:
        """The last lines that the server has printed."""
        return "\n".join(self.log_text().splitlines()[-LOG_TAIL:])


def free_port(wanted: int = 0) -> int:
    """This port if nobody listens on it, or any free one for 0."""
    with socket.socket() as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, wanted))
        except OSError as error:
            raise DevError(f"Port {wanted} is not free ({error.strerror}).") from None
        port: int = probe.getsockname()[1]
    return port


def place(source: Path, target: Path) -> None:
    """Makes `source` appear at `target`: a link, or a copy where links need special rights."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove(target)
    if sys.platform != "win32":
        target.symlink_to(source)
    elif source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*NOT_COPIED))
    else:
        shutil.copy2(source, target)


def remove(path: Path) -> None:
    """Removes a link, a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _variables() -> dict[str, str]:
    """The server sees the packages of its own interpreter only, and logs in UTF-8."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**PATIENT_THREADS, **kept, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
