"""ZeRO stage 3: a parameter's values are with its owner alone, and with the others while the model's part is at work.

The parts are the embedding, each block, and the last norm with the head. A part is fetched from its owners before its
forward pass, freed behind it, and fetched again before its backward pass; the next one comes while this one computes.
As in PyTorch's FSDP, an absent parameter keeps its shape and place in the graph, and its storage has no bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from tilth.model import Decoder
from tilth.model.decoder import Linear
from tilth.training.partition import Partition
from tilth.training.watchdog import waited


class Gathering:
    """Has the parameters of `model` (on the host) live with their owners, on `device`, and come when they are needed.

    Every process must go through the same parts in the same order, as data-parallel processes do.
    """

    def __init__(self, model: Decoder, partition: Partition, device: torch.device) -> None:
        self.model, self.partition, self.device = model, partition, device
        last = dict.fromkeys([*model.norm.parameters(), model.head_weight])
        self.parts = [list(part.parameters()) for part in (model.embedding, *model.blocks)] + [list(last)]
        self._present: dict[int, list[Any]] = {}
        """Parts whose parameters are here or under way, and what is under way."""
        for parameter in model.parameters():
            self._place(parameter)
        for module in model.modules():
            if isinstance(module, Linear):
                module.casts_again = True
        model.around = self

    def __call__(self, part: int, act: Callable[[], Tensor]) -> Tensor:
        """The part's forward pass; its backward pass is prepared by a hook on what comes out of it."""
        self._enter(part, part + 1 if part + 1 < len(self.parts) else None)
        out = act()
        if out.requires_grad and part:  # an embedding's gradient asks for no weights: part 0 is never behind another
            out.register_hook(lambda _: self._enter(part, part - 1 if part > 1 else None))
        return out

    def _enter(self, part: int, following: int | None) -> None:
        """Have `part` here and the one that is at work behind it come; all others are freed."""
        for other in self._present.keys() - {part}:
            self._free(other)
        self._fetch(part)
        for work in self._present[part]:
            waited(work)
        self._present[part] = []
        if following is not None:
            self._fetch(following)

    def _fetch(self, part: int) -> None:
        if part not in self._present:
            owner = self.partition.owner
            self._present[part] = [dist.broadcast(self._room(p), owner[p], async_op=True) for p in self.parts[part]]

    def _room(self, parameter: Tensor) -> Tensor:
        """The parameter's values past the autograd graph, which they leave as it is: they are always the same."""
        values = parameter.data
        if not self.partition.mine(parameter):
            values.untyped_storage().resize_(values.numel() * values.element_size())
        return values

    def _free(self, part: int) -> None:
        for work in self._present.pop(part):
            waited(work)
        for parameter in self.parts[part]:
            if not self.partition.mine(parameter):
                parameter.data.untyped_storage().resize_(0)

    def release(self) -> None:
        """Free whatever is not this process's own."""
        for part in list(self._present):
            self._free(part)

    def _place(self, parameter: Tensor) -> None:
        """From the host to the device; of others' parameters the shape alone."""
        if self.partition.mine(parameter):
            parameter.data = parameter.data.to(self.device)
        else:
            parameter.data = torch.empty_like(parameter.data, device=self.device)
            parameter.data.untyped_storage().resize_(0)

    def bring_home(self) -> None:
        """The end: the first process has the whole model on the host, an ordinary one; all must take part."""
        self.release()
        for parameter in self.model.parameters():
            values = self.partition.gathered(parameter.data, parameter.data, parameter)
            if values is not None:
                parameter.data = values.cpu()
        self.model.around = None
