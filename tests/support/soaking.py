"""Random samplings: what is applied, with which numbers and options, how it is sampled.

Import it only after the pack (fixture ``pack``). Everything follows from one seed.
"""

from dataclasses import dataclass
from random import Random

from comfy_api.latest import io
from wan_step_cache_under_test.cache_core import StepCacheError
from wan_step_cache_under_test.nodes.adacache import ApplyAdaCache
from wan_step_cache_under_test.nodes.cfgcache import ApplyCFGCache
from wan_step_cache_under_test.nodes.customcache import ApplyCustomCache
from wan_step_cache_under_test.nodes.easycache import ApplyEasyCache
from wan_step_cache_under_test.nodes.fbcache import ApplyFBCache
from wan_step_cache_under_test.nodes.host import calibration_files
from wan_step_cache_under_test.nodes.magcache import ApplyMagCache
from wan_step_cache_under_test.nodes.options import StepCacheOptions
from wan_step_cache_under_test.nodes.taylorseer import ApplyTaylorSeer
from wan_step_cache_under_test.nodes.teacache import ApplyTeaCache
from watching import execute

NEVER = {
    ApplyFBCache: {"residual_diff_threshold": 0.0},
    ApplyTeaCache: {"rel_l1_thresh": 0.0},
    ApplyMagCache: {"magcache_thresh": 0.0},
    ApplyTaylorSeer: {"interval": 1},
    ApplyAdaCache: {"codebook": "1:1"},
    ApplyCustomCache: {"rel_l1_thresh": 0.0},
    ApplyEasyCache: {"reuse_threshold": 0.0},
    ApplyCFGCache: {"interval": 1},
}
"""Every Apply node, and the numbers with which it reuses nothing."""
NOTHING_REUSED = {
    "warm-up": {"warmup_steps": 1000, "step_mask": ""},
    "last steps": {"last_steps": 1000, "step_mask": ""},
    "skips": {"max_consecutive_skips": 0, "step_mask": ""},
    "few steps": {"on_few_steps": "off"},
}
"""Options with which nothing is reused whatever the numbers."""
MASKED = ("warmup_steps", "last_steps", "max_consecutive_skips")
SAMPLERS = (
    *("euler", "euler_ancestral", "heun", "dpm_2", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_sde"),
    *("uni_pc", "lcm", "res_multistep", "ddim", "ipndm", "er_sde", "dpmpp_2s_ancestral"),
)
SCHEDULERS = ("simple", "normal", "sgm_uniform", "ddim_uniform", "beta", "linear_quadratic")
CODEBOOKS = ("0.3:6, 0.5:3, 1:2", "0.05:2, 10:1", "1000:4", "1:1")
MOST = 4
"""Integers are drawn up to this: beyond, nothing is left to reuse in so few steps."""
BLOCKS = 2
"""Of the model."""
FROM_ABOVE = ("end_percent", "residual_diff_threshold", "rel_l1_thresh", "reuse_threshold")
"""Numbers that are drawn near their maximum, where more is reused."""
UNKNOWN = ("calibration", "auto")
"""MagCache refuses it for a model of a size that nobody published."""


@dataclass(frozen=True)
class Sampling:
    """One random sampling.

    nodes: Apply nodes with their widgets, in the order of the chain. options: widgets of Step Cache
    Options. way: arguments of ``wan.sample``. neutral: why nothing is reused, None if it may be.
    fault: what goes wrong, None if nothing does, at its ``at``-th chance. separately: one condition
    a call.
    """

    nodes: tuple
    options: dict
    way: dict
    neutral: str | None
    fault: str | None
    at: int
    separately: bool

    def on(self, model):
        """The model behind the chain."""
        options = execute(StepCacheOptions, **self.options)[0]
        for node, widgets in self.nodes:
            model = execute(node, model=model, options=options, **widgets)[0]
        return model


def drawn(seed, faults):
    """The sampling of a seed; one of ``faults`` in four out of ten."""
    random = Random(seed)
    neutral = random.choice([None] * 14 + ["numbers", "mask", *NOTHING_REUSED])
    steps = random.randint(4, 9 if neutral == "few steps" else 12)
    return Sampling(
        nodes=_chain(random, neutral),
        options=_options(random, neutral, steps),
        way=_way(random, steps),
        neutral=neutral,
        fault=random.choice(faults) if random.random() < 0.4 else None,
        at=random.randint(1, 6),
        separately=random.random() < 0.3,
    )


def _chain(random, neutral):
    nodes = random.sample(list(NEVER), random.choice([1, 1, 2, 3, 4]))
    never = neutral == "numbers"
    fixed = {node: {"preset": "custom", **NEVER[node]} if never else {} for node in nodes}
    return tuple((node, _valid(random, node, fixed[node])) for node in nodes)


def _options(random, neutral, steps):
    free = random.choice(["", _mask(random, steps)])
    masks = {"numbers": "", "mask": "1" * steps}
    few = random.choice(["off", "warn", "allow", "allow"])
    fixed = {"step_mask": masks.get(neutral, free), "on_few_steps": few}
    fixed.update(NOTHING_REUSED.get(neutral, {}))
    if fixed["step_mask"]:
        fixed.update(dict.fromkeys(MASKED, -1), alternating=False)
    return _valid(random, StepCacheOptions, fixed)


def _mask(random, steps):
    return "".join(random.choice("10.") for _ in range(steps))


def _way(random, steps):
    return {
        "steps": steps,
        "cfg": random.choice([1.0, 5.0]),
        "seed": random.randrange(1000),
        "batch": random.choice([1, 1, 2]),
        "size": (random.randint(1, 3), random.randint(4, 6), random.randint(4, 6)),
        "sampler": random.choice(SAMPLERS),
        "scheduler": random.choice(SCHEDULERS),
    }


def _valid(random, node, fixed):
    """Widgets of a node, the ``fixed`` ones and others by their schema, that it does not refuse."""
    while True:
        widgets = {**_widgets(random, node), **fixed}
        try:
            if node is StepCacheOptions:
                execute(node, **widgets)
            elif node is ApplyCFGCache and node.validate_inputs(**_window(widgets)) is not True:
                continue
        except StepCacheError:
            continue
        return widgets


def _window(widgets):
    return {name: widgets[name] for name in ("interval", "start_percent", "end_percent")}


def _widgets(random, node):
    drawn = {put.id: _value(random, put) for put in node.define_schema().inputs}
    return {name: value for name, value in drawn.items() if value is not None}


def _value(random, put):
    """A random value of an input, by its schema; None for one that is no widget."""
    if put.id == "preset":
        return random.choice(["custom"] * 5 + put.options)
    if isinstance(put, io.Combo.Input):
        files = calibration_files.names() if put.id in ("calibration", "coefficients") else []
        return random.choice([o for o in put.options if (put.id, o) != UNKNOWN and o not in files])
    if isinstance(put, io.Boolean.Input):
        return random.random() < 0.5
    if isinstance(put, io.Int.Input):
        most = BLOCKS - 1 if put.id == "probe_block" else MOST
        return random.randint(put.min, min(put.max, most))
    if isinstance(put, io.Float.Input):
        small = round(put.max * random.choice([0.0, random.random() ** 2]), 3)
        return put.max - small if put.id in FROM_ABOVE else small
    return random.choice(CODEBOOKS) if put.id == "codebook" else None
