"""Train the tiny Wan: `python -m tiny_wan.train`, from the folder that holds this package.

Flow matching on rendered clips: x = (1 - sigma) clip + sigma noise, the target is noise - clip.
Every step draws its clips and noise from its own number, so a resumed run repeats an unbroken one.
"""

import argparse
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import AdamW, Optimizer

from .given import MASK_CHANNELS, beside_noise
from .model import CHANNELS, DIM, TEXT_DIM, TinyWan, initialise, load_tiny_wan, widened
from .muon import Muon
from .sample import clips, shifted
from .words import KINDS, embed

HERE = Path(__file__).resolve().parent
BASE = HERE / "tiny_wan.safetensors"
LOW_NOISE = HERE / "tiny_wan_low_noise.safetensors"
IMAGE = HERE / "tiny_wan_i2v.safetensors"
BOUNDARY = 0.875
DROP_PROMPT = 0.1
DROP_WORD = 0.05
WARM_UP = 50
DECAY_FROM = 0.44
EMA = 0.998
MUON_RATE = 0.02
ADAM_RATE = 2e-3


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1700)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1.0, help="scales every learning rate")
    parser.add_argument("--seed", type=int, default=0)
    tuned = parser.add_mutually_exclusive_group()
    tuned.add_argument("--low-noise", action="store_true", help="fine-tune the low-noise half")
    tuned.add_argument("--image", action="store_true", help="fine-tune on a given first frame")
    parser.add_argument("--base", type=Path, default=BASE, help="where a fine-tune starts from")
    parser.add_argument("--out", type=Path, help="the checkpoint to write")
    parser.add_argument("--state", type=Path, help="save to and resume from this file")
    parser.add_argument("--save-every", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2, help="threads that share a batch")
    args = parser.parse_args()
    args.out = args.out or (LOW_NOISE if args.low_noise else IMAGE if args.image else BASE)
    return args


def prompts(rng: random.Random, count: int) -> list[str]:
    """Prompts with one random word of each kind."""
    return [" ".join(rng.choice(words) for words in KINDS.values()) for _ in range(count)]


def context(texts: list[str], rng: random.Random) -> Tensor:
    """Embeddings [B, K, TEXT_DIM] with some words, and some whole prompts, left out."""
    rows = torch.cat([embed(text) for text in texts])
    for row in rows:
        keep = 0.0 if rng.random() < DROP_PROMPT else 1.0 - DROP_WORD
        for token in row[: len(KINDS)]:
            token.mul_(rng.random() < keep)
    return rows


def sigmas(rng: random.Random, count: int, low_noise: bool) -> Tensor:
    """Noise levels [B] spread evenly over Wan's shifted levels."""
    offset = rng.random()
    fraction = torch.tensor([(i + offset) / count for i in range(count)])
    top = BOUNDARY / (5 - 4 * BOUNDARY) if low_noise else 1.0
    return shifted(fraction * top)


def batch(step: int, args: argparse.Namespace) -> tuple[Tensor, ...]:
    """Step -> inputs of the model, timesteps, words, and the velocities to learn."""
    rng = random.Random(f"{args.seed}:{args.low_noise}:{step}")
    texts = prompts(rng, args.batch)
    clean = clips(texts, [rng.getrandbits(32) for _ in texts])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(rng.getrandbits(32)))
    sigma = sigmas(rng, args.batch, args.low_noise)
    mix = sigma.view(-1, 1, 1, 1, 1)
    noisy = (1 - mix) * clean + mix * noise
    inputs = torch.cat([noisy, beside_noise(clean)], dim=1) if args.image else noisy
    return inputs, sigma * 1000, context(texts, rng), noise - clean


def optimisers(model: TinyWan) -> list[Optimizer]:
    """Muon for the matrices of the blocks, AdamW for the rest."""
    named = dict(model.named_parameters())
    inner = {k: p for k, p in named.items() if k.startswith("blocks.") and p.ndim == 2}
    wide = [named.pop("text_embedding.0.weight")]
    rest = [p for k, p in named.items() if k not in inner]
    groups = [
        {"params": rest, "lr": ADAM_RATE},
        {"params": wide, "lr": ADAM_RATE * DIM / TEXT_DIM},
    ]
    adam = AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
    return [Muon(inner.values(), lr=MUON_RATE), adam]


def schedule(step: int, steps: int) -> float:
    """The share of the full learning rate: warm up, hold, then fall linearly to zero."""
    return min(1.0, (step + 1) / WARM_UP, (steps - step) / (steps * (1 - DECAY_FROM)))


def starting(args: argparse.Namespace) -> TinyWan:
    """The model to train: a new one, or one that is to be fine-tuned."""
    if args.low_noise:
        return load_tiny_wan(args.base)
    if args.image:
        return widened(load_tiny_wan(args.base), 2 * CHANNELS + MASK_CHANNELS)
    model = TinyWan()
    initialise(model)
    return model


class Training:
    """A model, its average, its optimisers and how far they are."""

    def __init__(self, args: argparse.Namespace, device: str) -> None:
        self.args, self.device, self.step = args, device, 0
        torch.manual_seed(args.seed)
        self.model = starting(args).train().to(device)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.optimisers = optimisers(self.model)
        self.rates = [[g["lr"] * args.rate for g in o.param_groups] for o in self.optimisers]
        self.pool = ThreadPoolExecutor(args.workers)

    def gradients(self, part: tuple[Tensor, ...]) -> tuple[float, tuple[Tensor, ...]]:
        """The loss of a part of a batch, and its gradients, as their shares of the whole."""
        x, times, words, target = (tensor.to(self.device) for tensor in part)
        loss = (self.model(x, times, words) - target).square().mean() * len(x) / self.args.batch
        return loss.item(), torch.autograd.grad(loss, list(self.model.parameters()))

    def advance(self) -> float:
        """One step; its loss."""
        parts = zip(*(t.chunk(self.args.workers) for t in batch(self.step, self.args)), strict=True)
        losses, gradients = zip(*self.pool.map(self.gradients, parts), strict=True)
        for weight, *shares in zip(self.model.parameters(), *gradients, strict=True):
            weight.grad = sum(shares[1:], start=shares[0])
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.update(schedule(self.step, self.args.steps))
        self.step += 1
        self.blend()
        return sum(losses)

    def update(self, share: float) -> None:
        """Apply the gradients with a share of the full learning rates."""
        for optimiser, rates in zip(self.optimisers, self.rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * share
            optimiser.step()

    def blend(self) -> None:
        """Move the average towards the weights."""
        decay = min(EMA, (self.step + 1) / (self.step + 10))
        for key, value in self.model.state_dict().items():
            self.average[key].lerp_(value, 1 - decay)

    def save(self) -> None:
        """Write the checkpoint and, if asked for, the state."""
        half = {key: value.half().contiguous().cpu() for key, value in self.average.items()}
        save_file(half, self.args.out)
        if self.args.state:
            states = [optimiser.state_dict() for optimiser in self.optimisers]
            parts = (self.step, self.model.state_dict(), self.average, states)
            torch.save(parts, self.args.state)

    def resume(self) -> None:
        """Go on from the state file, if there is one."""
        if self.args.state and self.args.state.exists():
            parts = torch.load(self.args.state, map_location=self.device)
            self.step, weights, self.average, states = parts
            self.model.load_state_dict(weights)
            for optimiser, state in zip(self.optimisers, states, strict=True):
                optimiser.load_state_dict(state)

    def run(self) -> Iterator[tuple[int, float]]:
        """Train to the end; (step, loss) after every step."""
        while self.step < self.args.steps:
            loss = self.advance()
            if self.step % self.args.save_every == 0 or self.step == self.args.steps:
                self.save()
            yield self.step, loss


def main() -> None:
    """Train, and report the mean loss and the time left."""
    args = options()
    torch.set_num_threads(1)
    training = Training(args, "cuda" if torch.cuda.is_available() else "cpu")
    training.resume()
    first, began, losses = training.step, time.monotonic(), []
    for step, loss in training.run():
        losses = [*losses, loss][-50:]
        if step % 10 == 0:
            spent = time.monotonic() - began
            left = spent / (step - first) * (args.steps - step)
            mean = sum(losses) / len(losses)
            times = f"{spent:.0f} s, {left:.0f} s left"
            print(f"{step}/{args.steps} loss {mean:.4f} {times}", flush=True)


if __name__ == "__main__":
    main()
