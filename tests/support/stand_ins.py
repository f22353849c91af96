"""Every file that a prompt loads, made to be there: empty, or a tiny one that works.

Import it only after the host (``import_host``).
"""

from contextlib import contextmanager
from functools import partial
from shutil import copyfile

from tiny_encoders import (
    TEXT_DIM,
    write_audio_encoder,
    write_clip_vision,
    write_text_encoder,
    write_vae,
)
from tiny_media import write_audio, write_image, write_video
from tiny_wans import write_lora, write_multitalk, write_wan

from devtools.server import place

INPUT = "input"
COPIED = (INPUT, "temp")
"""Folders in which the host takes no links that lead out of them."""
LOADED = {
    "UNETLoader": ("unet_name", "models/diffusion_models", partial(write_wan, text_dim=TEXT_DIM)),
    "LoraLoader": ("lora_name", "models/loras", write_lora),
    "LoraLoaderModelOnly": ("lora_name", "models/loras", write_lora),
    "CLIPLoader": ("clip_name", "models/text_encoders", write_text_encoder),
    "VAELoader": ("vae_name", "models/vae", write_vae),
    "CLIPVisionLoader": ("clip_name", "models/clip_vision", write_clip_vision),
    "AudioEncoderLoader": ("audio_encoder_name", "models/audio_encoders", write_audio_encoder),
    "ModelPatchLoader": ("name", "models/model_patches", write_multitalk),
    "CheckpointLoaderSimple": ("ckpt_name", "models/checkpoints", None),
    "LoadImage": ("image", INPUT, write_image),
    "LoadVideo": ("file", INPUT, write_video),
    "LoadAudio": ("audio", INPUT, write_audio),
}
"""By loader: the input that names its file, the folder, and what writes a tiny one.

None for checkpoints: SAM 3 has one size only, and an encoder that no CPU runs in a minute."""
SHARED = (write_text_encoder, write_clip_vision)
"""Writers to whom the name of the file makes no difference, and whose files take long to make."""


def files(prompt):
    """(folder, name, writer) of every file of a prompt."""
    for node in prompt.values():
        if node["class_type"] in LOADED:
            name, folder, write = LOADED[node["class_type"]]
            yield folder, node["inputs"][name], write
        elif node["class_type"] == "Painter" and node["inputs"]["mask"]:
            path, _, folder = node["inputs"]["mask"].removesuffix("]").partition(" [")
            yield folder or INPUT, path, write_image  # what the browser uploads before it queues


@contextmanager
def empty_files(prompt, base):
    """While it lasts every file of the prompt is there, and none can be read."""
    with placed(base) as put:
        for folder, name, _ in files(prompt):
            put(folder, name, None)
        yield


class Shelf:
    """Tiny files, each made when it is first needed."""

    def __init__(self, folder):
        self.folder = folder

    @contextmanager
    def on(self, base, prompt):
        """While it lasts every file of the prompt is there, tiny and readable."""
        with placed(base) as put:
            for folder, name, write in files(prompt):
                if write is not None:
                    put(folder, name, self.made(folder, name, write))
            yield

    def made(self, folder, name, write):
        """The file of this name, or the one that does for all of its kind."""
        path = self.folder / folder / (write.__name__ if write in SHARED else name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
        return path


@contextmanager
def placed(base):
    """``put(folder, name, source)``: what it puts below ``base`` is gone in the end.

    What the server has of its own (``example.png``) is used, and stays.
    """
    made = []

    def put(folder, name, source):
        target = base / folder / name
        if target.exists():
            return
        made.append(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source is None:
            target.touch(exist_ok=False)
        elif folder in COPIED:
            copyfile(source, target)
        else:
            place(source, target)

    try:
        yield put
    finally:
        for target in made:
            target.unlink(missing_ok=True)
