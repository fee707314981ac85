"""What is minimised: the protocol that every objective follows, and next-token prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from tilth.model import Decoder, linear_cross_entropy
from tilth.training.batch import Batch


@dataclass(frozen=True)
class Losses:
    """Of one micro-batch: what is differentiated, and what is reported."""

    terms: dict[str, Tensor]
    """coefficient · sum / global count of each term: scalars whose sum is differentiated."""
    sums: Tensor
    """[rows]: sum of the reported loss over the units of each sequence, detached."""
    units: Tensor | None = None
    """[rows]: what the reported loss is a mean over; default the targets of each sequence (nats a token)."""
    metrics: dict[str, tuple[Tensor, str]] = field(default_factory=dict)
    """What else is reported: a sum, detached, and the term of `counts` that it is divided by. The same names in every
    micro-batch, also in an empty one."""


class Objective(Protocol):
    """`counts` are summed over micro-batches and ranks before the first backward: never a mean of means.

    Derive from it for the methods that need not be written.
    """

    def counts(self, batch: Batch) -> dict[str, int]:
        """The denominator that this micro-batch adds to each term, known on the host."""
        ...

    def loss(self, model: Decoder, batch: Batch, counts: Mapping[str, int]) -> Losses:
        """The micro-batch's part of the global loss, given the global counts."""
        ...

    def describe(self) -> dict[str, Any]:
        """What shapes the result, as plain JSON values: a checkpoint of another description is refused."""
        return {}

    def watch(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """A warning to give after step `step` (from 1), whose global means are `metrics`."""
        return None


class NextToken(Objective):
    """Cross-entropy of the next token in nats, plus z-loss."""

    def __init__(self, z_loss: float = 0.0, *, compiled: bool = False) -> None:
        self.z_loss, self.compiled = z_loss, compiled

    def counts(self, batch: Batch) -> dict[str, int]:
        """Targets with a loss."""
        return {"next_token": batch.target_count}

    def loss(self, model: Decoder, batch: Batch, counts: Mapping[str, int]) -> Losses:
        """Mean over the global number of targets."""
        hidden_NH = model(batch.tokens, batch.positions, batch.boundaries)
        scale = 1 / max(1, counts["next_token"])
        total, loss_N = linear_cross_entropy(
            hidden_NH,
            model.head_weight,
            batch.targets,
            scale,
            self.z_loss,
            compiled=self.compiled,
            foreseen=model.loss_scale,
        )
        exact = loss_N if loss_N.device.type == "mps" else loss_N.to(torch.float64)
        return Losses({"next_token": total}, exact.view(batch.boundaries.rows, -1).sum(1))
