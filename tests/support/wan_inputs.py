"""What the host's nodes make conditioning of: images, sounds, and stand-ins for their encoders.

Import it only after the host (fixture ``host``).
"""

import inspect
from importlib import import_module

import comfy.clip_vision
import torch
from watching import execute

FRAMES, SIZE, LATENT_FRAMES = 9, 64, 3
MODULES = ("wan", "scail", "wandancer", "bernini", "camera_trajectory", "model_patch", "ar_video")


class StandInVAE:
    """Encodes clips of 4n+1 frames to n+1 latent ones, linearly and without any weights."""

    def __init__(self, channels=16, spatial=8):
        self.latent_channels = channels
        self.spatial = spatial
        self.colours = noise(99, 3, channels)

    def encode(self, pixels):
        """[frames, height, width, 3] to [1, channels, frames, height, width]."""
        small = torch.nn.functional.avg_pool2d(pixels[::4].movedim(-1, 1), self.spatial)
        return torch.einsum("fchw,cd->dfhw", small, self.colours)[None]

    def spacial_compression_encode(self):
        return self.spatial

    def temporal_compression_decode(self):
        return 4


class Glance(torch.nn.Module):
    """Features of pictures, [rows, 3, height, width] to [rows, 512], at next to no cost."""

    def forward(self, pictures):
        small = torch.nn.functional.adaptive_avg_pool2d(pictures, 8)
        return small.flatten(1) @ noise(98, 192, 512)


def noise(seed, *shape):
    """Normal numbers, the same for the same seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def clip(seed, frames=FRAMES, size=SIZE):
    """IMAGE of random frames."""
    return noise(seed, frames, size, size, 3).sigmoid()


def mask(seed, frames=FRAMES, size=SIZE):
    """MASK of as many frames, each pixel in or out."""
    return (noise(seed, frames, size, size) > 0).float()


def seen(seed, tokens=5):
    """CLIP_VISION_OUTPUT of random features."""
    output = comfy.clip_vision.Output()
    output.penultimate_hidden_states = noise(seed, 1, tokens, 1280)
    return output


def heard(seed, layers, width, length=60):
    """AUDIO_ENCODER_OUTPUT of random features, 50 a second."""
    states = [noise(seed + i, 1, length, width) for i in range(layers)]
    return {"encoded_audio_all_layers": states, "audio_samples": 320 * length}


def node(name):
    """A node of the host by its class's name; None if this version has none."""
    for module in MODULES:
        try:
            found = getattr(import_module(f"comfy_extras.nodes_{module}"), name, None)
        except ModuleNotFoundError:
            continue
        if found is not None:
            return found
    return None


def made(name, *prompts, **inputs):
    """Outputs of a node for clips of the usual size, given those inputs that it has."""
    usual = {"width": SIZE, "height": SIZE, "length": FRAMES, "vae": StandInVAE()}
    usual |= dict(zip(("positive", "negative"), prompts, strict=False)) | inputs
    known = inspect.signature(node(name).execute).parameters
    return execute(node(name), **{k: v for k, v in usual.items() if k in known})
