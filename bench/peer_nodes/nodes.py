"""The nodes: a meter around the sampler, files for the benchmark, and a VACE model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
from comfy.patcher_extension import WrappersMP
from comfy_api.latest import ComfyExtension, io
from torch.nn.functional import pad

from . import vace
from .meter import Meter

CATEGORY = "testing"
FOLDER = "bench"
METER = Meter()
"""The server runs one prompt at a time."""


def schema(name: str, inputs: list[Any], outputs: list[Any], is_end: bool = False) -> io.Schema:
    """A node of this pack."""
    node_id = f"StepCacheBench_{name}"
    return io.Schema(
        node_id=node_id,
        display_name=node_id,
        category=CATEGORY,
        inputs=inputs,
        outputs=outputs,
        is_output_node=is_end,
    )


class Start(io.ComfyNode):
    """The last node before the sampler: hands on the latent, and starts the meter."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """take: another text makes the host sample again; the others are there to come first."""
        first = [io.Conditioning.Input("positive"), io.Conditioning.Input("negative")]
        models = [io.Model.Input("model"), io.Model.Input("sampled")]
        rest = [io.Latent.Input("samples"), io.String.Input("take")]
        return schema("Start", [*models, *first, *rest], [io.Latent.Output()])

    @classmethod
    def execute(cls, model: Any, samples: Any, **others: Any) -> io.NodeOutput:
        """The latent."""
        METER.start(model)
        return io.NodeOutput(samples)


class Stop(io.ComfyNode):
    """The first node behind the sampler: what it took, and the name of every bit it made."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows and calls."""
        return schema("Stop", [io.Latent.Input("samples")], [io.Latent.Output()], True)

    @classmethod
    def execute(cls, samples: Any) -> io.NodeOutput:
        """The latent."""
        measured = METER.stop()
        latent = samples["samples"].cpu().contiguous()
        digest = hashlib.sha256(latent.numpy().tobytes()).hexdigest()
        return io.NodeOutput(samples, ui={"measured": [{**measured, "digest": digest}]})


class Keep(io.ComfyNode):
    """Frames as they are, not in the eight bits of a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows and calls."""
        return schema("Keep", [io.Image.Input("images"), io.String.Input("name")], [], True)

    @classmethod
    def execute(cls, images: Any, name: str) -> io.NodeOutput:
        """Writes output/bench/<name>.npy."""
        folder = Path(folder_paths.get_output_directory(), FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", images.cpu().numpy())
        return io.NodeOutput()


class CopyInput(io.ComfyNode):
    """Later wrappers get a copy of the model's input to write to."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows and calls."""
        return schema("CopyInput", [io.Model.Input("model")], [io.Model.Output()])

    @classmethod
    def execute(cls, model: Any) -> io.NodeOutput:
        """A clone."""
        clone = model.clone()
        clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "bench_copies_input", copy_input)
        return io.NodeOutput(clone)


def copy_input(executor: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """The first wrapper, so the outermost one."""
    return executor(x.clone(), *args, **kwargs)


class Vace(io.ComfyNode):
    """The tiny VACE model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """copy: another text makes another object."""
        return schema("Vace", [io.String.Input("copy")], [io.Model.Output()])

    @classmethod
    def execute(cls, copy: str) -> io.NodeOutput:
        """The model."""
        return io.NodeOutput(vace.model())


class VaceControl(io.ComfyNode):
    """A condition with a control video of noise."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows and calls."""
        inputs = [io.Conditioning.Input("conditioning"), io.Latent.Input("samples")]
        inputs += [io.Float.Input("strength", default=1.0)]
        return schema("VaceControl", inputs, [io.Conditioning.Output()])

    @classmethod
    def execute(cls, conditioning: Any, samples: Any, strength: float) -> io.NodeOutput:
        """The condition, extended."""
        said = vace.control(samples["samples"], strength)
        return io.NodeOutput([[text, {**extra, **said}] for text, extra in conditioning])


class OneToken(io.ComfyNode):
    """A condition that is one token longer, by zeros."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows and calls."""
        inputs = [io.Conditioning.Input("conditioning")]
        return schema("OneToken", inputs, [io.Conditioning.Output()])

    @classmethod
    def execute(cls, conditioning: Any) -> io.NodeOutput:
        """The condition, extended."""
        return io.NodeOutput([[pad(text, (0, 0, 0, 1)), extra] for text, extra in conditioning])


class BenchExtension(ComfyExtension):
    """The pack, as the host sees it."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes."""
        return [Start, Stop, Keep, CopyInput, Vace, VaceControl, OneToken]
