"""Where a method of `bench peers` is measured: a server and what it renders without any cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from .peer_graph import Node
from .peer_packs import Inputs, Method
from .peer_server import Render, Rig
from .prompts import HELD_OUT, Prompt


@dataclass(frozen=True)
class Size:
    """How much is measured: prompts, steps of each, settings of a method, steps with VACE."""

    prompts: tuple[Prompt, ...]
    steps: int
    settings: int
    vace_steps: int


FULL = Size(HELD_OUT[:4], 30, 3, 12)
QUICK = Size(HELD_OUT[:1], 10, 1, 10)


@dataclass
class Yard:
    """A server and its uncached renders, made before any other node ran in it."""

    rig: Rig
    size: Size
    references: list[Render]
    copies: int = 0

    @classmethod
    def opened(cls, rig: Rig, size: Size) -> Yard:
        """With the first renders."""
        yard = cls(rig, size, [])
        copy = yard.copy()
        yard.references = [rig.render(prompt, size.steps, (), copy) for prompt in size.prompts]
        return yard

    def copy(self) -> str:
        """The name of a model object that no render has used yet."""
        self.copies += 1
        return f"copy {self.copies}"

    @cached_property
    def controlled(self) -> Render:
        """The VACE model alone."""
        return self.vace(())

    @cached_property
    def uncontrolled(self) -> Render:
        """The same with a control video that has no strength."""
        return self.vace((), 0.0)

    @cached_property
    def apart(self) -> Render:
        """The first clip, its two branches in model calls of their own."""
        return self.first((), self.copy(), apart=True)

    def first(self, chain: Sequence[Node], copy: str, apart: bool = False) -> Render:
        """A render of the first prompt."""
        return self.rig.render(self.size.prompts[0], self.size.steps, chain, copy, apart=apart)

    def vace(self, chain: Sequence[Node], control: float = 1.0) -> Render:
        """A render of the VACE model."""
        prompt, steps = self.size.prompts[0], self.size.vace_steps
        return self.rig.render(prompt, steps, chain, self.copy(), control=control)

    def chain(self, method: Method, inputs: Inputs) -> Sequence[Node]:
        """The nodes of a method at a setting."""
        return self.rig.chain((*method.before, method.node), {**method.fixed, **inputs})
