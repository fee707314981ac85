"""What a recipe says about low-rank adapters. No torch."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, field_validator

from tilth.base.settings import Settings

Target = Literal["query", "key", "value", "output", "gate", "up", "down"]

TARGETS: tuple[Target, ...] = ("query", "key", "value", "output", "gate", "up", "down")
"""Every projection of a layer."""


class AdapterSettings(Settings):
    """LoRA (Hu et al. 2021): W x + scale · B A x, of which only A and B are trained."""

    rank: int = Field(default=16, ge=1, description="rows of A, r")
    alpha: float = Field(default=32.0, gt=0, description="scale = alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="of what A is applied to, in training")
    targets: tuple[Target, ...] = Field(default=TARGETS, min_length=1, description="projections that are adapted")
    rslora: bool = Field(default=False, description="scale = alpha / sqrt(rank) (Kalajdzievski 2023)")
    embeddings: bool = Field(default=False, description="train the embedding matrix and the head too, in full")

    @field_validator("targets")
    @classmethod
    def _in_order(cls, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """Each once, in the order of a layer: the same choice has one form."""
        return tuple(target for target in TARGETS if target in targets)

    @property
    def scale(self) -> float:
        """Factor of B A x."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)
