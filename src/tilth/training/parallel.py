"""The processes that train together: who this one is, sums over all, gradients in one flat buffer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This process among `size`; data parallel: each computes the whole model on its share of every batch."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """`tensor` summed over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether any process says so: how all take the same decision."""
        return bool(self.largest(int(flag))[0])

    def told(self, make: Callable[[], str]) -> str:
        """What the first process makes, in every one."""
        if self.size == 1:
            return make()
        said = [make() if self.first else None]
        dist.broadcast_object_list(said, src=0)
        assert said[0] is not None
        return said[0]

    def barrier(self) -> None:
        """Wait for all."""
        if self.size > 1:
            dist.barrier()

    def largest(self, *values: int) -> list[int]:
        """The largest of each over all processes."""
        if self.size == 1:
            return list(values)
        votes = torch.tensor(values, device=collective_device())
        dist.all_reduce(votes, dist.ReduceOp.MAX)
        return votes.tolist()

    def gathered(self, value: Any) -> list[Any]:
        """Everyone's value, in the order of ranks."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def group(self) -> Group:
        """The same processes once more, for another thread to talk in beside this one; all must ask for it."""
        handle = dist.new_group(backend="gloo") if self.size > 1 else None
        return Group(self.rank, self.size, handle)


@dataclass(frozen=True)
class Group:
    """The processes as a thread beside the loop sees them: on the host, with collectives of its own."""

    rank: int = 0
    size: int = 1
    handle: Any = None

    @property
    def first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def together(self, act: Callable[[], T]) -> list[T]:
        """Everyone's result of `act`; an error of one is raised in all."""
        if self.size == 1:
            return [act()]
        mine: tuple[Any, Exception | None]
        try:
            mine = act(), None
        except Exception as error:
            mine = None, error
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, mine, group=self.handle)
        for _, fault in found:
            if fault is not None:
                raise fault
        return [result for result, _ in found]


def collective_device() -> str:
    """Where tensors must lie that are sent to others."""
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


def join(device: str = "auto", store: Any = None) -> World:
    """Join the processes that torchrun started (RANK, WORLD_SIZE, LOCAL_RANK); alone without it.

    `store`: where they find each other, if not at MASTER_ADDR and MASTER_PORT.
    """
    if dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", 0)))
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return World()
    cuda = device in ("auto", "cuda") and torch.cuda.is_available()
    known = {"store": store, "rank": int(os.environ["RANK"]), "world_size": int(os.environ["WORLD_SIZE"])}
    dist.init_process_group("nccl" if cuda else "gloo", **(known if store is not None else {}))
    return World(dist.get_rank(), dist.get_world_size(), int(os.environ["LOCAL_RANK"]))


def leave() -> None:
    """Part from the others, when all are done."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


BUCKET_ELEMENTS = 2**25
"""Gradients are summed over ranks in stretches of 128 MiB of fp32."""


class GradientBuffer:
    """The gradients of all parameters side by side: zeroed, summed over ranks, measured and scaled as one vector.

    `parameter.grad` is a view of the buffer, so autograd adds to it in place.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], like: Tensor | None = None) -> None:
        first = parameters[0] if like is None else like
        self.flat = first.new_zeros(sum(parameter.numel() for parameter in parameters))
        start = 0
        for parameter in parameters:
            parameter.grad = self.flat[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()

    def zero(self) -> None:
        """Before the first backward of a step."""
        self.flat.zero_()

    def settle(self) -> None:
        """After every backward."""

    def sum(self, world: World) -> None:
        """After the last backward: a sum, because denominators are global already."""
        if world.size > 1:
            for part in self.flat.split(BUCKET_ELEMENTS):
                world.sum(part)

    def norm(self) -> float:
        """Global L2 norm."""
        return float(torch.linalg.vector_norm(self.flat))

    def scale(self, factor: float) -> None:
        """Multiply every gradient."""
        self.flat.mul_(factor)
