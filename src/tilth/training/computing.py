"""The gradient of one step: forward and backward of every micro-batch, sums over micro-batches and ranks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tilth.base.keyed import stable_hash
from tilth.model import Decoder
from tilth.model.draws import sequence_keys
from tilth.training import compiling
from tilth.training.batch import Batch
from tilth.training.gathering import Gathering
from tilth.training.objective import Objective
from tilth.training.parallel import World
from tilth.training.partition import Partition, gradient_buffer


@dataclass(frozen=True)
class Computed:
    """What a step came to, over all ranks; the gradient itself lies in the buffer."""

    losses: list[float]
    """Sum of the reported loss of each group,"""
    units: list[float]
    """what it is a mean over,"""
    targets: list[float]
    """and the targets with a loss."""
    sequences: list[float]
    """Mean loss of each sequence of the step, in the order of its picks; 0 where it has no target."""
    metrics: dict[str, float]
    norm: float
    """Global L2 norm of the gradient."""

    @property
    def loss(self) -> float:
        """Mean reported loss."""
        return sum(self.losses) / max(1, sum(self.units))


_Sums = tuple[Tensor, list[dict[str, tuple[Tensor, str]]], list[Tensor]]


class Computing:
    """Computes steps of the phase of that name, of sequences of `groups` groups."""

    def __init__(
        self,
        phase: str,
        model: Decoder,
        objective: Objective,
        world: World,
        device: torch.device,
        groups: int,
        warn: Callable[[str], None],
        partition: Partition,
        gathering: Gathering | None = None,
    ) -> None:
        self.phase, self.model, self.objective, self.world, self.device = phase, model, objective, world, device
        self.groups, self.warn = groups, warn
        self.exact = torch.float32 if device.type == "mps" else torch.float64
        self.partition, self.gradients = partition, gradient_buffer(partition)
        self.gathering = gathering

    def run(self, seed: int, step: int, batches: list[Batch], sequences: int, *, poisoned: bool = False) -> Computed:
        """The gradient of step `step` (from 0), which has so many sequences over all ranks, into the buffer.

        `poisoned` makes it NaN, for trials.
        """
        counts = self._counts(batches)
        try:
            sums, reported, rows = self._micro_batches(seed, step, batches, counts)
        except Exception as error:
            torn = compiling.torn_file(error)
            if torn is None:
                raise
            self.warn(f"{torn} was left torn by a process that was killed; it is removed, and all is compiled again")
            compiling.begin_anew(torn)
            if self.partition.stage >= 2:
                raise RuntimeError("the others are in the middle of this step; start again") from error
            sums, reported, rows = self._micro_batches(seed, step, batches, counts)
        if poisoned:
            self.gradients.flat[:1] = torch.nan
        self.gradients.sum(self.world)
        if self.model.loss_scale != 1.0:
            self.gradients.scale(1 / self.model.loss_scale)
        loss_G, unit_G, target_G = self.world.sum(sums).tolist()
        metrics = self._metrics(reported, counts)
        return Computed(loss_G, unit_G, target_G, self._sequences(rows, sequences), metrics, self.gradients.norm())

    def _micro_batches(self, seed: int, step: int, batches: list[Batch], counts: dict[str, int]) -> _Sums:
        """Forward and backward of this process's part, into the buffer: sums of groups, metrics, means of rows."""
        torch.manual_seed(stable_hash(seed, "step", self.phase, step, self.world.rank) >> 1)  # the model draws by place
        self.gradients.zero()
        sums = torch.zeros(3, self.groups, dtype=self.exact, device=self.device)
        reported: list[dict[str, tuple[Tensor, str]]] = []
        rows: list[Tensor] = []
        first = 0
        for batch in batches:
            self._name_sequences(seed, step, range(first, first + batch.boundaries.rows))
            first += batch.boundaries.rows
            losses = self.objective.loss(self.model, batch, counts)
            (torch.stack(list(losses.terms.values())).sum() * self.model.loss_scale).backward()
            self.gradients.settle()
            units = batch.counts if losses.units is None else losses.units
            for row, amounts in zip(sums, (losses.sums, units, batch.counts), strict=True):
                row.index_add_(0, batch.groups, amounts.to(self.exact))
            rows.append(torch.where(units > 0, losses.sums.to(self.exact) / units, 0.0))
            reported.append(losses.metrics)
        if self.gathering is not None:
            self.gathering.release()
        return sums, reported, rows

    def _name_sequences(self, seed: int, step: int, rows: range) -> None:
        """Tell the model which of the step's sequences come next: row i of rank r is sequence r + i · size."""
        if self.model.draws:
            numbers = (self.world.rank + row * self.world.size for row in rows)
            self.model.sequence_keys = sequence_keys(seed, self.phase, step, numbers, self.device)

    def _sequences(self, rows: list[Tensor], sequences: int) -> list[float]:
        """The mean loss of every sequence: sequence i is row i // size of rank i mod size."""
        all_S = torch.zeros(sequences, dtype=self.exact, device=self.device)
        mine = all_S[self.world.rank :: self.world.size]
        mine.copy_(torch.cat(rows)[: len(mine)])
        return self.world.sum(all_S).tolist()

    def _counts(self, batches: list[Batch]) -> dict[str, int]:
        """Global denominators of the step."""
        counts: dict[str, int] = {}
        for batch in batches:
            for term, count in self.objective.counts(batch).items():
                counts[term] = counts.get(term, 0) + count
        if self.world.size == 1:
            return counts
        totals = self.world.sum(torch.tensor(list(counts.values()), device=self.device)).tolist()
        return dict(zip(counts, totals, strict=True))

    def _metrics(self, reported: list[dict[str, tuple[Tensor, str]]], counts: dict[str, int]) -> dict[str, float]:
        """Global means of what the objective reports beside its loss."""
        if not reported[0]:
            return {}
        parts = [torch.stack([value.to(self.exact) for value, _ in part.values()]) for part in reported]
        terms = [term for _, term in reported[0].values()]
        totals = self.world.sum(torch.stack(parts).sum(0)).tolist()
        return {name: x / max(1, counts[term]) for name, x, term in zip(reported[0], totals, terms, strict=True)}
