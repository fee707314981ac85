"""ZeRO: each process keeps the states of its own parameters, and serves them to all (stages 1 and 2; 3 in gathering).

Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models" (arXiv:1910.02054).
Here a parameter belongs to one process whole: Muon orthogonalises whole matrices.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from tilth.laws.memory import Shard, zero_stage
from tilth.laws.partition import UNDER_WAY, owners
from tilth.training.parallel import BUCKET_ELEMENTS, GradientBuffer, World, collective_device
from tilth.training.watchdog import waited

Whole = dict[str, tuple[Tensor | None, Tensor, Tensor]]
"""Named tensors of all processes: each as far as this one has it, one of its shape and dtype, its parameter."""


class Partition:
    """Whose each parameter is; in one process or without sharding each is everybody's."""

    def __init__(self, parameters: Iterable[nn.Parameter], world: World, shard: Shard = "none") -> None:
        self.world, every = world, list(parameters)
        self.stage = zero_stage(shard, world.size)
        self.parameters = [parameter for parameter in every if parameter.requires_grad]
        """Those that are trained."""
        frozen = [parameter for parameter in every if not parameter.requires_grad]
        ranks = world.size if self.stage else 1
        self.owner: dict[Tensor, int] = {}
        for part in (self.parameters, frozen):
            self.owner |= dict(zip(part, owners([p.numel() for p in part], ranks), strict=True))

    @staticmethod
    def of_nothing(world: World) -> Partition:
        """Every process has every tensor, whole."""
        return Partition((), world, "none")

    def mine(self, parameter: Tensor) -> bool:
        """Whether this process keeps its optimizer state and updates it."""
        return not self.stage or self.owner[parameter] == self.world.rank

    def holds(self, parameter: Tensor) -> bool:
        """Whether its values are in this process between two steps."""
        return self.stage < 3 or self.mine(parameter)

    def spread(self) -> None:
        """Behind an update: every parameter from its owner to all who hold it."""
        if self.stage in (1, 2):
            sent = [dist.broadcast(p.detach(), self.owner[p], async_op=True) for p in self.parameters]
            for work in sent:
                waited(work)

    def gathered(self, tensor: Tensor | None, like: Tensor, parameter: Tensor) -> Tensor | None:
        """On the first process the owner's tensor, on the others None. All must ask, in the same order."""
        source = self.owner[parameter] if self.stage else 0
        if source == 0:
            return tensor if self.world.first else None
        if self.world.rank == source:
            assert tensor is not None
            dist.send(tensor.contiguous(), 0)
        elif self.world.first:
            received = torch.empty_like(like, device=collective_device())
            dist.recv(received, source)
            return received
        return None


def gradient_buffer(partition: Partition) -> GradientBuffer:
    """The buffer of the gradients that this process keeps, summed to everybody or to the owners."""
    kinds = (None, OwnedGradients, ReducedGradients, ReducedGradients)
    kind = kinds[partition.stage]
    return GradientBuffer(partition.parameters) if kind is None else kind(partition)


class OwnedGradients(GradientBuffer):
    """Stage 1: gradients side by side by owner, summed there. Behind the sum the others' stretches mean nothing."""

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


class ReducedGradients(OwnedGradients):
    """Stages 2 and 3: a gradient goes to its owner as soon as a backward pass has made it, and is freed elsewhere.

    What the owner sends into the sum is its own of all micro-batches so far with what the others' earlier ones brought;
    the others send that of this micro-batch alone. So the owner's buffer is the accumulated sum at every moment.
    """

    def __init__(self, partition: Partition) -> None:
        own = [parameter for parameter in partition.parameters if partition.mine(parameter)]
        GradientBuffer.__init__(self, own, like=partition.parameters[0])
        self.world, self.own, self.partition = partition.world, self.flat, partition
        self._under_way: deque[tuple[Any, Tensor, bool]] = deque()
        """What was begun, of which gradient, and whether that is another's."""
        for parameter in partition.parameters:
            parameter.register_post_accumulate_grad_hook(self._send)

    def _send(self, parameter: Tensor) -> None:
        """In the backward pass, when the parameter's gradient is whole: all processes come by in the same order."""
        gradient, foreign = parameter.grad, not self.partition.mine(parameter)
        assert gradient is not None
        if foreign:
            parameter.grad = None
        work = dist.reduce(gradient, self.partition.owner[parameter], async_op=True)
        self._under_way.append((work, gradient, foreign))
        while len(self._under_way) > 1 and sum(sent.numel() for _, sent, _ in self._under_way) > UNDER_WAY:
            self._arrive()

    def _arrive(self) -> None:
        """Wait for the oldest, and free it if it is another's: the thread that sent it may let go of it much later."""
        work, gradient, foreign = self._under_way.popleft()
        waited(work)
        if foreign and gradient.untyped_storage().nbytes() == gradient.nbytes:
            gradient.untyped_storage().resize_(0)

    def settle(self) -> None:
        """Behind each backward pass: what is under way has arrived."""
        while self._under_way:
            self._arrive()

    def sum(self, world: World) -> None:
        """Nothing is left to be summed."""
