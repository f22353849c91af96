"""The prose of docs/benchmarks.md."""

from __future__ import annotations

INTRODUCTION = """# Benchmarks: quality against cost

Written by `python3 dev.py bench quality` from `bench/results/quality.json`, which holds every
number, prompt by prompt. What the cache itself costs is in [costs.md](costs.md), how other packs do
in [peers.md](peers.md).

The tiny Wan of this repository (3.4 M parameters, 10 blocks) renders {prompts} {prompt_set}
prompts, each without a cache and in every way below, and the decoded clips are compared.
Main scenario: {main}, scheduler `simple`, shift {shift:g}.

Measured on {date} on {cpu} ({cores} cores, {system}),
one thread per process, with ComfyUI {comfyui}, torch {torch}, Python {python},
Wan Step Cache {pack} at commit {commit}.
"""
EQUAL_COST = """## The main scenario at equal cost

PSNR in dB at the same share of computed evaluations, read between the two measured points of a
method around it, prompt by prompt. `-`: the method has no points around this share. *Over the
host's*: the mean difference from the host's own EasyCache behind a copy of its input, with its
95 % interval. *hold* and *taylor*: the mean with these forecasts instead of auto.
"""
COLUMNS = """## The main scenario in full

- **knob**: what was varied, with the guards (warm-up, last steps, reuses in a row) of preset
  `balanced`; FBCache's limit of reuses in a row is part of its knob, since no threshold gets
  below it. *preset*: the node as it comes, with that preset.
- **computed**: evaluations in which the whole model ran, as a share of the uncached run's, counted
  at the model's last block by rows: one without its negative branch counts half. *CFG Cache*
  starts at 30 % of the schedule; behind EasyCache its interval is 2, or that of the preset.
- **PSNR** in dB of the decoded clip against the uncached one: its mean over the prompts with the
  95 % bootstrap interval of the mean, the median, and the worst prompt. Clips that are the same
  count as 100 dB.
- **SSIM**: the mean; Gaussian window of 11 pixels, sigma 1.5, per frame and channel.
- **measured time**: processor time of the samplings over that of the uncached ones in the same
  process; the picture has its inverse. Other work on the machine moves it, so read it with a
  tolerance of some 10 %.
- **cache**: the most memory that the pack's cache held.

In bold: no row computes no more and is better.

Baselines: *fewer steps* renders with that many steps; *every k-th step* repeats the last computed
step in between; *host EasyCache* and *host LazyCache* are ComfyUI's own nodes with their defaults
and this threshold. The host's EasyCache writes into its model's input, which spoils the clip
wherever the model computes in fp32, as on a CPU; *input copied* hands it a copy.
"""
OTHERS = """## Other scenarios

One thing of the main scenario changed, forecast auto. *Two experts*: the tiny Wan down to sigma
0.875, then the one that was trained below it, each with the method of its own. *First frame given*:
a clip of the prompt whose first latent frame is kept by a noise mask, as Wan 2.2 5B makes a video
of an image; what is compared is the rest. *Image to video*: a tiny Wan that was trained to go on
from a picture, which it gets beside the noise, as Wan 2.2 I2V does (36 channels in). *heun* and
*dpm_2* evaluate the model twice a step, so they make 16 steps: the methods that measure, as they
are, and with *own streams*, where each of the two stages has a history of its own, as if they were
evaluations of different models. Thresholds are those of the main scenario times 30 / steps, since a
step of a shorter schedule changes more. Each point: share of computed evaluations, mean PSNR, and
the worst prompt's.
"""
REPRODUCE = """## Reproduce

```
python3 dev.py bench quality                      # everything, two to three hours on two cores
python3 dev.py bench quality --quick --out DIR    # a small part, in about a minute
python3 dev.py bench quality --scenario NAME ...  # these again, the others are kept
python3 dev.py bench quality --resume             # what an interrupted run left out
python3 dev.py bench quality --picture            # what the picture shows again, in 20 minutes
python3 dev.py bench page                         # page and picture from the JSON
```

Prompts, seeds and knobs are fixed (`bench/prompts.py`, `bench/methods.py`,
`bench/baselines.py`); on another machine rounding moves the PSNR by little, and times by much.
The forecasts and presets were chosen on other prompts (`--prompts tuning`).
MagCache and TeaCache use a calibration of this model, made first by MagCache Calibrate on a prompt
in neither set.
"""
REAL = """## With real weights

Nobody has measured them yet. In ComfyUI: Templates, Extensions, wan-step-cache, *With and without
cache - Compare* samples one seed without and with the cache. Choose your model, method and steps,
and press Run: Step Cache Compare says PSNR, SSIM and the error of the changes from frame to frame,
Step Cache Report the share of computed steps, seconds and memory. Repeat with a few seeds, since
prompts differ by more than methods do. What makes such a result comparable: the report's JSON
(model, numbers in force, steps), Compare's three numbers, the GPU, and the versions of ComfyUI and
of this pack. This project's issue form *Measured on real weights* asks for just these.
"""
LIMITS = """## What a tiny model can tell

It was trained, so its steps change as those of a real model do: smoothly, most at the start and at
the end. But it is small, its clips are simple and short (5 latent frames of 16 x 16), and PSNR
against the uncached clip is not what an eye sees: a clip that moved elsewhere is as good to look
at, and counts as bad here. Expect the order of methods to carry over to real models better than
the decibels, and thresholds not at all. Time: a reused step costs almost the same in a model of any
size, a computed one does not, so on real models the measured time comes closer to the computed
share.
"""
