"""The prose of docs/peers.md."""

from __future__ import annotations

INTRODUCTION = """# Beside other caches

Written by `python3 dev.py bench peers` from `bench/results/peers.json`. Errors are results: they
are told as the host told them.

Every pack gets a real ComfyUI of its own, alone, and renders the same clips over HTTP: the tiny
Wan of this repository, {prompts} prompts with fixed seeds, {sampler}, {steps} steps, CFG {cfg:g},
scheduler `{scheduler}`, shift {shift:g}. The loader, the sampler and all other nodes are ComfyUI's;
nodes of this benchmark around the sampler count and time. No file of any pack is changed.

Measured on {date} at commit {commit} on {cpu} ({cores} cores, {system}), without a GPU,
with ComfyUI {comfyui}, torch {torch}, Python {python}, Wan Step Cache {pack}.
"""
LOADED = """## What loads

Where a pack does not load, what ComfyUI said of it. Nothing was installed for any pack: what needs
a package that ComfyUI itself does not bring says so here. Other columns: older ComfyUIs, back to
the oldest that this pack supports.
"""
BEHAVIOUR = """## What they leave behind, and VACE

With those of the settings below that compute least.

- **same again**: the same prompt queued twice gives the same bits. The nodes before the sampler
  answer from memory the second time, as they do when only the seed of a workflow changes.
- **gone when bypassed**: after a render with the node, the graph without it on the same loaded
  model gives the bits of a model that the node never saw.
- **branches apart**: PSNR of the first clip where ComfyUI runs the two branches in model calls of
  their own, as it does where memory is short, against the uncached clip of the same kind; in
  brackets where one call has both. Here the negative is one token longer.
- **VACE, nothing reused**: on a VACE model with a control video, at settings with which no step is
  reused, the bits are those of the render without the node. Where they are not, the node changes
  what the model computes; it ignores the control video where the render is (nearly) the one with
  a control video of strength 0. The model has random weights, so decibels tell what is the same,
  and nothing of quality.
- **VACE, reusing**: at settings with which steps of such a model are reused, a render runs to its
  end, and computes so many steps.
"""
EQUAL = """## At equal cost

Mean PSNR in dB against the uncached clips at the same share of computed steps, read between two
settings of a node around it, prompt by prompt; `-`: its settings do not reach around this share.
This is the fair comparison of quality: **the same cost** means that the model computed as many
steps. Equal thresholds mean nothing, since every method measures something else.
"""
COST = """## Every setting

- **settings**: the first is what the authors ship or publish for Wan 2.1 T2V 1.3B (WaveSpeed's is
  for Flux, for want of one); the others lie around it. Inputs that are not named have the node's
  defaults. **This pack's presets and forecasts were chosen with this very model at hand**, on other
  prompts; those of other packs were not, and their coefficients and curves are those of the 1.3B
  model.
- **computed**: rows that reached the model's last block over those of the uncached run.
- **time**, **CPU**: seconds of the sampler and processor time of the server over those of the
  uncached render just before, the median over the prompts. On a tiny model what a pack itself costs
  weighs more than on a real one.
- **PSNR**, **SSIM**: of the decoded clips against the uncached ones; clips that are the same count
  as 100 dB.
- **MiB**: the most resident memory of the server's process while it samples, over that of the
  uncached render, the median; on a model of this size mostly noise.
"""
REPRODUCE = """## Reproduce

```
python3 dev.py bench peers                          # ComfyUI's own caches and this pack
python3 dev.py bench peers --peer /path/to/pack ... # and other packs, each in a folder
python3 dev.py bench peers --quick --out DIR        # one short clip, in about a minute
python3 dev.py bench peers --loads --comfyui 0.18.2 --peer ...   # another column: what loads there
```

A pack's folder is linked into a temporary ComfyUI, which keeps out of yours. Nodes are known by
their ids (`bench/peer_packs.py`, with settings and where they come from); of a pack that is not
known there, every node that needs a `model` and nothing else from other nodes, and gives one, is
tried with its defaults.
"""
LIMITS = """## What this cannot tell

The model is tiny and its clips are simple: the order of methods carries over to real models better
than decibels do, and thresholds do not at all. Image to video, two experts, GPUs and compiled
models are not in this table. A pack that does not load here may load on a ComfyUI older than those
of the first table.
"""
