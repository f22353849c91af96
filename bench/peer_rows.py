"""What `bench peers` says of one method: rows of speed and quality, and checks of behaviour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cache_core.comparison import compare
from cache_core.errors import StepCacheError

from .measure import spread
from .peer_packs import Inputs, Method
from .peer_server import Render, RenderFailed, Rig
from .prompts import HELD_OUT, Prompt
from .statistics import mean, median

Json = dict[str, Any]
YES = "yes"
MEBIBYTE = 2**20


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

    def vace(self, chain: Sequence[Any], control: float = 1.0) -> Render:
        """A render of the VACE model."""
        prompt, steps = self.size.prompts[0], self.size.vace_steps
        return self.rig.render(prompt, steps, chain, self.copy(), control)

    def chain(self, method: Method, inputs: Inputs) -> Sequence[Any]:
        """The nodes of a method at a setting."""
        return self.rig.chain((*method.before, method.node), {**method.fixed, **inputs})


def uncached(yard: Yard) -> Json:
    """What the references took, as medians."""
    found = yard.references
    memory = [r.peak_rss for r in found if r.peak_rss is not None]
    return {
        "seconds": round(median([r.seconds for r in found]), 4),
        "cpu_seconds": round(median([r.cpu_seconds for r in found]), 4),
        "peak_rss_mib": round(median(memory) / MEBIBYTE, 1) if memory else None,
    }


def measured(yard: Yard, method: Method) -> Json:
    """Rows and checks of a method."""
    rows = [row(yard, method, inputs) for inputs in method.settings[: yard.size.settings]]
    return {
        "method": method.name,
        "node": method.node,
        "before": list(method.before),
        "fixed": method.fixed,
        "never": method.never,
        "rows": rows,
        "checks": checks(yard, method, least(rows)),
    }


def least(rows: Sequence[Json]) -> Inputs:
    """The settings that compute least, or the first where none runs."""
    ran = [row for row in rows if "error" not in row] or rows[:1]
    cheapest: Inputs = min(ran, key=lambda row: row.get("computed_share", 0))["settings"]
    return cheapest


def row(yard: Yard, method: Method, inputs: Inputs) -> Json:
    """One setting: costs beside uncached renders, taken in turn; or the error."""
    try:
        return {"settings": inputs, **_costs(yard, pairs(yard, method, inputs))}
    except (RenderFailed, StepCacheError) as error:
        return {"settings": inputs, "error": str(error)}


def pairs(yard: Yard, method: Method, inputs: Inputs) -> list[tuple[Render, Render]]:
    """An uncached render and one with the method of every prompt, each on a model of its own."""
    chain = yard.chain(method, inputs)
    steps, render = yard.size.steps, yard.rig.render
    plain, patched = yard.copy(), yard.copy()
    return [
        (render(prompt, steps, (), plain), render(prompt, steps, chain, patched))
        for prompt in yard.size.prompts
    ]


def _costs(yard: Yard, found: Sequence[tuple[Render, Render]]) -> Json:
    """Quality is measured against the references, which nothing can have spoilt."""
    alike = [compare(r.frames, run.frames) for r, (_, run) in _beside(yard, found)]
    memory = [run.peak_rss - before.peak_rss for before, run in found if run.peak_rss is not None]
    return {
        "computed_share": round(mean([run.computed for _, run in found]) / yard.size.steps, 4),
        "computed": [run.computed for _, run in found],
        "time_ratio": round(median([run.seconds / one.seconds for one, run in found]), 4),
        "cpu_ratio": round(median([run.cpu_seconds / one.cpu_seconds for one, run in found]), 4),
        "extra_peak_rss_mib": round(median(memory) / MEBIBYTE, 1) if memory else None,
        "psnr": spread([one.psnr for one in alike], 3),
        "ssim": spread([one.ssim for one in alike], 5),
        "uncached_unchanged": all(r.digest == one.digest for r, (one, _) in _beside(yard, found)),
    }


def _beside(yard: Yard, found: Sequence[tuple[Render, Render]]) -> Any:
    return zip(yard.references, found, strict=True)


def checks(yard: Yard, method: Method, inputs: Inputs) -> Json:
    """Verdicts in words: `yes`, or what was the matter."""
    return {
        "settings": inputs,
        **identities(yard, method, inputs),
        "vace_never": verdict(lambda: vace_never(yard, method)),
        "vace_reusing": verdict(lambda: vace_reusing(yard, method)),
    }


def verdict(check: Callable[[], str]) -> str:
    """The check's, or the error."""
    try:
        return check()
    except (RenderFailed, StepCacheError) as error:
        return f"error: {error}"


def identities(yard: Yard, method: Method, inputs: Inputs) -> Json:
    """The same prompt again, and the graph without the method's nodes, on one model object.

    The nodes before the sampler answer from memory the second time.
    """
    copy, first = yard.copy(), yard.references[0]

    def render(chain: Sequence[Any]) -> Render:
        return yard.rig.render(yard.size.prompts[0], yard.size.steps, chain, copy)

    try:
        chain = yard.chain(method, inputs)
        run = render(chain)
    except RenderFailed as error:
        return dict.fromkeys(("second_run", "bypass"), f"error: {error}")
    return {
        "second_run": verdict(lambda: alike(run, render(chain))),
        "bypass": verdict(lambda: alike(first, render(()))),
    }


def vace_never(yard: Yard, method: Method) -> str:
    """With settings that reuse no step, a model with a control video gives its own bits."""
    if method.never is None:
        return "not tried: no setting is known that reuses nothing"
    run = yard.vace(yard.chain(method, method.never))
    if run.digest == yard.controlled.digest:
        return YES
    without = psnr(yard.uncontrolled, run)
    return f"{alike(yard.controlled, run)}; {without:.1f} dB from a render without control"


def vace_reusing(yard: Yard, method: Method) -> str:
    """Reusing steps of a model with a control video: whether that runs."""
    run = yard.vace(yard.chain(method, method.often or method.settings[0]))
    return f"{YES}: {run.computed:g} of {yard.size.vace_steps} computed"


def alike(reference: Render, run: Render) -> str:
    """Whether two renders are the same to the last bit, and else how far apart."""
    if reference.digest == run.digest:
        return YES
    return f"no: {psnr(reference, run):.1f} dB apart, {run.computed:g} steps computed"


def psnr(reference: Render, run: Render) -> float:
    """Of two renders in dB."""
    return compare(reference.frames, run.frames).psnr
