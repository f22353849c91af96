"""The one family of errors a user of the pack sees."""

from __future__ import annotations

from collections.abc import Collection


class StepCacheError(ValueError):
    """A setting or a model the pack cannot work with; the message names it and the remedy."""


def require(condition: bool, name: str, value: object, remedy: str) -> None:
    """Raise StepCacheError unless ``condition``: '`name` is value, but must be remedy.'"""
    if not condition:
        raise StepCacheError(f"`{name}` is {value!r}, but must be {remedy}.")


def require_one_of(name: str, value: object, words: Collection[str]) -> None:
    """The same for a value that has to be one of a few words."""
    require(value in words, name, value, "one of " + ", ".join(words))
