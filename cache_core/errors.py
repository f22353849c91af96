"""The one family of errors a user of the pack sees."""

from __future__ import annotations


class StepCacheError(ValueError):
    """A setting or a model the pack cannot work with; the message names it and the remedy."""


def require(condition: bool, name: str, value: object, remedy: str) -> None:
    """Raise StepCacheError unless ``condition``: '`name` is value, but must be remedy.'"""
    if not condition:
        raise StepCacheError(f"`{name}` is {value!r}, but must be {remedy}.")
