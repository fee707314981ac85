"""ZeRO stage 1: each process keeps the optimizer's state of its own parameters, and updates these for all.

Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models" (arXiv:1910.02054).
Here a parameter belongs to one process whole: Muon orthogonalises whole matrices.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tilth.laws.partition import owners
from tilth.training.parallel import BUCKET_ELEMENTS, GradientBuffer, World


class Partition:
    """Whose each trained parameter is; in one process or without sharding each is everybody's."""

    def __init__(self, parameters: Iterable[nn.Parameter], world: World, *, sharded: bool) -> None:
        self.world, self.sharded = world, sharded and world.size > 1
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        ranks = world.size if self.sharded else 1
        self.owner: dict[Tensor, int] = dict(
            zip(self.parameters, owners([p.numel() for p in self.parameters], ranks), strict=True)
        )

    def mine(self, parameter: Tensor) -> bool:
        """Whether this process keeps its optimizer state and updates it."""
        return not self.sharded or self.owner[parameter] == self.world.rank

    def spread(self) -> None:
        """Behind an update: every parameter from its owner to all."""
        if self.sharded:
            sent = [dist.broadcast(p.detach(), self.owner[p], async_op=True) for p in self.parameters]
            for work in sent:
                work.wait()

    def gathered(self, tensor: Tensor | None, like: Tensor, parameter: Tensor) -> Tensor | None:
        """On the first process the owner's tensor, on the others None. All must ask, in the same order."""
        source = self.owner[parameter]
        if not self.sharded or source == 0:
            return tensor if self.world.first else None
        if self.world.rank == source:
            assert tensor is not None
            dist.send(tensor.contiguous(), 0)
        elif self.world.first:
            received = torch.empty_like(like)
            dist.recv(received, source)
            return received
        return None


def gradient_buffer(partition: Partition) -> GradientBuffer:
    """The buffer of all gradients, summed to everybody or to the owners."""
    return OwnedGradients(partition) if partition.sharded else GradientBuffer(partition.parameters)


class OwnedGradients(GradientBuffer):
    """Gradients side by side by owner: summed there alone. Behind the sum the others' stretches mean nothing."""

    def __init__(self, partition: Partition) -> None:
        owner, size = partition.owner, partition.world.size
        super().__init__(sorted(partition.parameters, key=lambda parameter: owner[parameter]))
        lengths = [sum(p.numel() for p in partition.parameters if owner[p] == rank) for rank in range(size)]
        self.stretches = self.flat.split(lengths)
        self.world, self.own = partition.world, self.stretches[partition.world.rank]

    def sum(self, world: World) -> None:
        """After the last backward: every stretch to its owner."""
        for rank, stretch in enumerate(self.stretches):
            for part in stretch.split(BUCKET_ELEMENTS):
                dist.reduce(part, rank)

    def norm(self) -> float:
        """Global L2 norm, the same number in all processes."""
        exact = torch.float32 if self.own.device.type == "mps" else torch.float64
        square = torch.linalg.vector_norm(self.own, dtype=exact) ** 2
        return float(self.world.sum(square).sqrt())

    def scale(self, factor: float) -> None:
        """Multiply every gradient, each by its owner."""
        self.own.mul_(factor)
