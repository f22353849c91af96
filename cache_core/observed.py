"""What the policies of a group see in one call of the model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from .branches import Chunk, Group
from .policy import Past, Seen
from .run import Run


@dataclass
class Observed:
    """The chunk that observes for its group, and what it saw, by place of the policy."""

    chunk: Chunk
    seen: dict[int, Seen]

    @classmethod
    def of(
        cls, run: Run, chunk: Chunk, latent: Tensor, before: Tensor | None, after: Tensor | None
    ) -> Observed:
        """The rows of ``chunk`` in the model's input, and in block 0's input and output if known.

        What is kept is a copy: the host may write into its own tensors.
        """
        rows = chunk.rows
        kept = latent[rows].clone() if run.keeps_latent else None
        seen = {which: Seen(latent=kept) for which in run.dynamic}
        if before is not None and after is not None:
            for which, policy in run.probing.items():
                features = policy.features(before[rows], after[rows])
                seen[which] = replace(seen[which], features=features)
        return cls(chunk, seen)

    def distances(self, run: Run, group: Group) -> dict[int, Tensor | float | None]:
        """The distances of the dynamic policies, scalars still on the device."""
        return {
            which: policy.distance(group.states[which], self.seen[which])
            for which, policy in run.dynamic.items()
        }

    def watch(self, policies: dict[int, Past], before: Tensor, after: Tensor) -> None:
        """Show a block's input and output, [rows, tokens, dim], to policies that watch it."""
        rows = self.chunk.rows
        for which, policy in policies.items():
            features = policy.features(before[rows], after[rows])
            self.seen[which] = replace(self.seen[which], features=features)

    def computed(self, run: Run, output: Tensor) -> dict[int, Seen]:
        """Everything that was seen, with the output if a policy of the run wants it."""
        if not run.keeps_latent:
            return self.seen
        kept = output[self.chunk.rows].clone()
        return {which: replace(seen, output=kept) for which, seen in self.seen.items()}
