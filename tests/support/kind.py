"""A kind of Wan: how it is built, what is given to it, and what of that can be left out.

Import it only after the host (fixture ``host``).
"""

from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import node_helpers
import wan
from wan_inputs import made, node


@dataclass(frozen=True)
class Given:
    """A model, which a node may have patched, and all that it is sampled with."""

    model: object
    positive: list
    negative: list
    latent: dict | None = None
    more: dict = field(default_factory=dict)

    @property
    def how(self):
        """Keyword arguments of ``wan.sample`` and ``wan.sample_with``."""
        latent = dict(self.latent or {})
        if latent:
            latent["latent"] = latent.pop("samples")
        return {"positive": self.positive, "negative": self.negative, **latent, **self.more}


@dataclass(frozen=True)
class Kind:
    """A kind of Wan.

    config: what the host's class is built with. inputs: from a model and two prompts to the model,
    the positive and the negative conditioning, and the latent, as the host's nodes make them.
    matter: what changes the result, by name in the conditioning, or ``patch``, and what it is when
    it is left out (None: not there at all).
    between: modules that run between or behind the blocks, by the start of their name; within:
    those that run inside of blocks; encoders: those that run before block 0 for these alone.
    needs: nodes. stated: what the file's metadata say. how: arguments of the sampling. one_row: its
    class cannot sample a batch. prepare: changes the model, which is the test's own.
    """

    config: dict
    inputs: Callable = lambda *model_and_prompts: model_and_prompts
    matter: dict = field(default_factory=dict)
    between: tuple = ()
    within: tuple = ()
    encoders: tuple = ()
    needs: tuple = ()
    stated: dict | None = None
    cls: str | None = None
    how: dict = field(default_factory=dict)
    one_row: bool = False
    prepare: Callable = lambda model: None

    @property
    def model_type(self):
        return self.config.get("model_type", "t2v")

    @property
    def layers(self):
        return self.config.get("num_layers", 4)

    @property
    def class_name(self):
        """The host's class that the model has to be loaded as."""
        return self.cls or wan.host_class(self.model_type).__name__

    @property
    def missing(self):
        """What this version of the host lacks of it; None if nothing."""
        lacking = [name for name in self.needs if node(name) is None]
        if wan.host_class(self.model_type) is None:
            lacking.append(f"a Wan of type {self.model_type}")
        return ", ".join(lacking) or None

    def given(self):
        """A tiny model through the host's loader, and what it is sampled with."""
        model = wan.random_wan(stated=self.stated, **self.config)
        self.prepare(model)
        prompts = wan.conditioning(1), wan.conditioning(2)
        return Given(*self.inputs(model, *prompts), more=self.how)

    def without(self, given, name):
        """The same with one of the things that matter left out."""
        if name == "patch":
            return replace(given, model=unpatched(given.model))
        if name in (given.latent or ()):
            return replace(given, latent={k: v for k, v in given.latent.items() if k != name})
        left = {name: self.matter[name]}
        return replace(
            given, positive=changed(given.positive, left), negative=changed(given.negative, left)
        )


def of(name, config, matter=(), node_inputs=dict, **more):
    """A kind that gets its conditioning from one node of the host."""

    def inputs(model, *prompts):
        return model, *made(name, *prompts, **node_inputs())[:3]

    values = matter if isinstance(matter, dict) else dict.fromkeys(matter)
    return Kind(config, inputs, values, needs=(name,), **more)


def changed(conditioning, values):
    """The conditioning with other values; None takes a value out."""
    kept = node_helpers.conditioning_set_values(conditioning, values)
    gone = [name for name, value in values.items() if value is None]
    return [[text, {k: v for k, v in more.items() if k not in gone}] for text, more in kept]


def unpatched(model):
    """A clone without what is patched into its blocks or between them."""
    clone = model.clone()
    clone.model_options["transformer_options"].pop("patches")
    return clone


@contextmanager
def counting(model):
    """``calls()``: how often each module of the model has run; those of its patches as ``patch.*``.

    The cache itself enters heads and blocks as they are, so that it cannot hide a call.
    """
    calls, handles = Counter(), []
    for prefix, root in roots(model):
        for name, module in root.named_modules():
            if name:
                hook = lambda *args, full=prefix + name: calls.update([full])  # noqa: E731
                handles.append(module.register_forward_hook(hook))
    try:
        yield lambda: Counter(calls)
    finally:
        for handle in handles:
            handle.remove()


def roots(model):
    """The model's own module, and those that patches bring."""
    patches = model.model_options["transformer_options"].get("patches", {})
    brought = {
        id(patch.model_patch): patch.model_patch.model
        for some in patches.values()
        for patch in some
        if hasattr(patch, "model_patch")
    }
    return [("", model.model.diffusion_model), *(("patch.", module) for module in brought.values())]


def total(calls, *prefixes):
    """How often the modules whose names start so have run."""
    return sum(count for name, count in calls.items() if name.startswith(prefixes))
