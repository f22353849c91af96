"""Stand-ins for packages that ComfyUI imports and a sampling never uses, on a bare machine.

Web, database, media and text packages: `bench gpu --stand-ins` runs without them. Whatever is taken
from a stand-in is a class that may be derived from, called, used as a decorator or a type.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

NEVER_USED = frozenset(
    (
        *("aiohttp", "alembic", "av", "blake3", "httpx2", "huggingface_hub", "jinja2", "PIL"),
        *("pydantic", "pydantic_core", "requests", "scipy", "simpleeval", "sqlalchemy"),
        *("tokenizers", "torchaudio", "torchvision", "transformers", "yarl", "glfw", "OpenGL"),
    )
)


class AnyType(type):
    """Of classes that have every attribute."""

    def __getattr__(cls, name: str) -> Any:
        return made(name)

    def __getitem__(cls, _: Any) -> Any:
        return cls

    def __or__(cls, _: Any) -> Any:
        return cls

    __ror__ = __or__

    def __iter__(cls) -> Any:
        return iter(())


class Anything(metaclass=AnyType):
    """Has every attribute; called with one function, as decorators are, it gives that."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return made(name)

    def __call__(self, *args: Any, **_: Any) -> Any:
        """A decorator's result is what it is given."""
        return args[0] if len(args) == 1 and callable(args[0]) else Anything()


def made(name: str) -> Any:
    """An attribute; Python's own are not there."""
    if name.startswith("__"):
        raise AttributeError(name)
    return AnyType(name, (Anything,), {})


class StandIn(ModuleType):
    """A module with every attribute."""

    __version__ = "0"

    def __getattr__(self, name: str) -> Any:
        return made(name)


class Finder(MetaPathFinder, Loader):
    """Finds stand-ins for packages that are not installed."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A stand-in for a package of these, or for a part of one."""
        ours = name.partition(".")[0] in self.names
        return ModuleSpec(name, self, is_package=True) if ours else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """It."""
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


def stand_in(names: frozenset[str] = frozenset()) -> list[str]:
    """Put stand-ins in place of these packages, or of all that are missing; their names."""
    missing = names or frozenset(name for name in NEVER_USED if find_spec(name) is None)
    sys.meta_path.insert(0, Finder(missing))
    return sorted(missing)
