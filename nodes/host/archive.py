"""The last samplings of the pack in plain numbers, for reports that are made after them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from comfy_execution.utils import get_executing_context

from ...cache_core import CacheConfig, Run
from ...cache_core.continuing import Stretch, count_experts, whole_schedules
from ...cache_core.overview import Overview
from .keys import config_of

MOST = 32
"""Samplings that are remembered, of all prompts together."""

NO_CACHE = (
    "Nothing is cached on the model in `model`, so there is nothing to tell. Connect the output of "
    "an Apply node there, the one whose model the sampler uses, and see that it is not bypassed."
)
NOT_SAMPLED = (
    "No sampling with the model in `model` is known: its sampler has not run yet, or its result is "
    "older than this ComfyUI's last start or its last {most} samplings, or MagCache Calibrate was "
    "at work. Connect the sampler's output to `latent`, and change the seed to have it run again."
)
EARLIER = (
    "{count} of {all} samplings ran in an earlier prompt: ComfyUI had the result of its sampler in "
    "its own cache."
)


@dataclass(frozen=True)
class Kept:
    """A sampling that has ended: in which prompt, what its model was told, its trace in JSON."""

    prompt: str | None
    config: CacheConfig
    stretch: Stretch
    trace: dict[str, Any]

    def told_the_same(self, config: CacheConfig) -> bool:
        """True for the model of a configuration, and for the other expert of its node."""
        mine, theirs = self.config, config
        return (mine.methods, mine.options) == (theirs.methods, theirs.options)


class Archive:
    """The last samplings, the newest at the end."""

    def __init__(self) -> None:
        self.kept: deque[Kept] = deque(maxlen=MOST)

    def add(self, run: Run, stretch: Stretch) -> None:
        """Keep what a run did; no tensor of it."""
        self.kept.append(Kept(prompt_under_way(), run.config, stretch, run.trace.as_json()))

    def schedules(self, config: CacheConfig) -> list[list[Kept]]:
        """Those of the newest prompt in which a model with this configuration was sampled.

        A schedule is told with all its parts: the other expert's too, whoever cached it, and those
        of an earlier prompt, which the host did not run again.
        """
        kept = list(self.kept)
        ways = [
            [kept[place] for place in way] for way in whole_schedules([k.stretch for k in kept])
        ]
        own = [way for way in ways if any(part.told_the_same(config) for part in way)]
        return [way for way in own if way[-1].prompt == own[-1][-1].prompt]


ARCHIVE = Archive()


def prompt_under_way() -> str | None:
    """The id of the prompt that is being executed, None outside of one."""
    context = get_executing_context()
    return None if context is None else context.prompt_id


def overview_of(model: Any) -> Overview:
    """What the last samplings with ``model`` (a ModelPatcher) did; if there are none, why."""
    config = config_of(model.model_options)
    if config is None:
        return Overview(note=NO_CACHE)
    schedules = ARCHIVE.schedules(config)
    if not schedules:
        return Overview(note=NOT_SAMPLED.format(most=MOST))
    distinct = list({id(part): part for way in schedules for part in way}.values())
    earlier = sum(part.prompt != prompt_under_way() for part in distinct)
    return Overview(
        schedules=tuple(tuple(part.trace for part in way) for way in schedules),
        experts=count_experts([part.stretch for part in distinct]),
        note=EARLIER.format(count=earlier, all=len(distinct)) if earlier else "",
    )
