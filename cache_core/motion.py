"""Motion regularisation (MoReg) of AdaCache: fast scenes are reused less.

As in LightX2V's Wan port (feature_caching/transformer_infer.py): m is how much neighbouring frames
of the probed features differ; (m / 0.385)^8 plus ten times its change per step multiplies the
distance. LightX2V compares tokens at a fixed stride of 1536, which is no frame of any Wan; here it
is the tokens of one latent frame.
"""

from __future__ import annotations

from torch import Tensor

SCALE, POWER, GRADIENT = 0.385, 8, 10.0


def motion_of(features: Tensor, latent: Tensor | None) -> Tensor | None:
    """|f_t - f_(t-1)|_1 / (|f_t|_1 + |f_(t-1)|_1) over neighbouring latent frames, a scalar.

    features: [rows, tokens, dim], the tokens frame by frame; latent: [rows, channels, frames, ...],
    which tells how many frames they are. None for a single frame.
    """
    frames = 1 if latent is None else latent.shape[2]
    each = features.shape[1] // frames
    if frames < 2 or not each:
        return None
    after = features[:, each : each * frames].float()
    before = features[:, : each * (frames - 1)].float()
    return (after - before).abs().sum() / (after.abs().sum() + before.abs().sum())


def regularised(motion: Tensor, before: Tensor, interval: int) -> Tensor:
    """The factor for a distance: the motion's power, and ten times its change per step."""
    strength, past = (motion / SCALE) ** POWER, (before / SCALE) ** POWER
    return strength + (GRADIENT * (strength - past) / interval).abs()
