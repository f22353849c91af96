"""The prose of docs/costs.md."""

from __future__ import annotations

INTRODUCTION = """# What the cache itself costs

Written by `python3 dev.py bench cost` from `bench/results/cost.json`, which holds every number.

The host's own `WanModel` with random weights is sampled by the host's own sampler (euler, CFG 5,
both branches in one call), without the pack and with it, in turn. Every method is made to compute
two steps and then to reuse and compute in turn, whatever it measures, so all do the same work; what
a method measures to decide, it measures as ever. Computed evaluations are therefore the dearest
there are: each follows a reused one, and its correction is part of it.

Measured on {date} on {cpu} ({cores} cores, {system}), one thread,
with ComfyUI {comfyui}, torch {torch}, Python {python}, Wan Step Cache {pack}, commit {commit}.

Times are processor time of the process, in milliseconds, medians over all evaluations of a kind but
the first of each sampling. *Own* is the time between the host's calling the pack and the pack's
calling the host or returning to it, found in samplings apart from those that are timed, since the
looking takes time too.

Limits: own time in a computed evaluation at most 3 % of the evaluation on the tiny models and 0.5 %
on the others; a reused evaluation at most 1 % of a computed one at level output and 2 % at level
hidden; realised speed-up at least 97 % of evaluations over computed evaluations. What a reused
evaluation runs since its method looks at it (FBCache: all up to the end of block 0) is counted as
computed. Models built with fewer layers than published: their reused evaluation is compared with
one that has a measured block's time more for every layer missing (*full evaluation*), and the
speed-up of such a stump has no limit.

Misses are told as they are. Two things weigh the more the shorter an evaluation is. The host's own
work around the model (*an evaluation whose model returns at once*) is done again in every
evaluation, since the pack acts where the host calls the model: further out it would pass by what
other nodes do around that call. And at level hidden the model embeds its input, and its head runs.
On the tiny model these alone are more than the limits (*rest* in the last column); with four times
its tokens they are not. A clip of 832x480x81 has 32,760 tokens; these have few.
"""

MODEL = """## {name}: {full} {layers} of {published_layers} layers

Dim {dim}, ffn {ffn}, {heads} heads; latent {size}, {tokens} tokens, {text_tokens} tokens of text,
{dtype}; {pairs} pairs of samplings of {steps} steps. One block takes {block_ms:.1f} ms, all up to
its end {probe_ms:.1f} ms; an evaluation whose model returns at once, behind a computed one,
{host_ms:.2f} ms.
{times}"""

TIMES = """
- **computed: own ms**, **overhead**: the pack's own time, and its share of an evaluation *without*.
- **paired**: how much longer computed evaluations took than the same ones of the sampling just
  before or after, without the pack: the median over the pairs, and the 95 % interval of their mean.
  It holds what the host does more because there are wrappers, and all the noise of the machine.
- **reused ms**: a whole reused evaluation. Most of it is the host's: it batches the prompts, and
  combines the branches; at level hidden the embeddings and the head run too.
- **decision ms**: of the own time of computed and of reused evaluations, finding out which it is.
- **speed-up / expected**: the median over the pairs; in brackets, the interval of their mean as a
  share of the expected one.
- **missed**: limits not kept to. *rest*: what would be left of a reuse if the pack took no time.
- CFG Cache: a reused evaluation computes cond, and costs about half.
"""

COUNTS = """## Counts

In a computed (c) and a reused (r) evaluation, once everything is in place. *Waits*: times that the
pack waits for the value of a tensor, which on a GPU is a synchronisation; the host has none of its
own here. *Allocations*: pieces of memory that the pack's own operations make, most of them freed at
once; *all*: with those of the host. *Blocks*: of the model, that a reused evaluation runs. *Peak
over uncached*: how much more memory tensors held at most, during 5 steps. Counts do not depend on
the machine; tests hold them to what they are.

Where there is no GPU, `cache_device` gpu and cpu are both RAM; what differs is the copy.
"""

REPRODUCE = """## Reproduce

```
python3 dev.py bench cost                     # all sizes, about half an hour on one quiet core
python3 dev.py bench cost --sizes tiny        # one of them again, the others are kept
python3 dev.py bench cost --quick --out DIR   # briefly, in half a minute
python3 dev.py bench cost --page              # the page from the JSON
```

Shares and counts carry over to another machine, milliseconds do not. On a machine that does
something else at the same time, look at *own* rather than *paired*.
"""
