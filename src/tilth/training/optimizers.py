"""Which optimizer updates which parameter, and its state by parameter name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tilth.base.errors import UserError
from tilth.training.muon import Muon
from tilth.training.parallel import World
from tilth.training.partition import Partition, Whole
from tilth.training.settings import MUON_AND_ADAPTER, OptimizerSettings


class Optimizers:
    """All optimizers of a model as one: a step at a multiplier of their rates, and a flat named state.

    AdamW is torch's, fused (Loshchilov and Hutter, 2019). Weight decay falls on the matrices of the layers (or on those
    of their adapters) and on an untied head, not on embeddings, norms and biases. Only what requires a gradient is
    updated and has a state.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: OptimizerSettings,
        products: torch.dtype,
        partition: Partition | None = None,
    ) -> None:
        self.settings = settings
        self.partition = partition or Partition(model.parameters(), World())
        self._names: dict[Tensor, str] = {
            parameter: name for name, parameter in model.named_parameters() if parameter.requires_grad
        }
        hidden: list[Any] = [p for p, name in self._names.items() if p.ndim == 2 and name.startswith("blocks.")]
        head: list[Any] = [p for p, name in self._names.items() if name.startswith("head.")]
        rest: list[Any] = [p for p in self._names if not any(p is q for q in (*hidden, *head))]
        momentum = {id(p) for p in hidden} if settings.kind == "muon" else set()
        self._keys: dict[str, Tensor] = {
            f"{name}:{key}": p
            for p, name in self._names.items()
            for key in (("momentum",) if id(p) in momentum else ("step", "exp_avg", "exp_avg_sq"))
        }
        """Every state tensor's name in all processes together, and its parameter."""
        hidden, head, rest = ([p for p in part if self.partition.mine(p)] for part in (hidden, head, rest))
        self.parts: list[torch.optim.Optimizer] = []
        if settings.kind == "muon":
            if any(name.endswith(("lora_A", "lora_B")) for name in self._names.values()):
                raise UserError(MUON_AND_ADAPTER)
            half = settings.newton_schulz == "bf16" or (settings.newton_schulz == "auto" and products == torch.bfloat16)
            exact = torch.float64 if products == torch.float64 else torch.float32
            decayed = head
            if hidden:
                self.parts.append(
                    Muon(
                        hidden,
                        settings.muon_learning_rate,
                        momentum=settings.momentum,
                        weight_decay=settings.weight_decay,
                        scale=settings.muon_scale,
                        dtype=torch.bfloat16 if half else exact,
                    )
                )
        else:
            decayed = [*hidden, *head]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
        if groups:
            self.parts.append(self._adamw(groups))
        self._rates = [[group["lr"] for group in part.param_groups] for part in self.parts]

    def _adamw(self, groups: list[dict[str, Any]]) -> torch.optim.AdamW:
        settings = self.settings
        adamw = torch.optim.AdamW(groups, settings.learning_rate, settings.betas, settings.eps, fused=True)
        for group in adamw.param_groups:
            for p in group["params"]:
                adamw.state[p] = {
                    "step": torch.zeros((), dtype=torch.float32, device=p.device),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        return adamw

    def step(self, multiplier: float) -> None:
        """Update every parameter at `multiplier` times its optimizer's rate."""
        for part, rates in zip(self.parts, self._rates, strict=True):
            for group, rate in zip(part.param_groups, rates, strict=True):
                group["lr"] = rate * multiplier
            part.step()
        self.partition.spread()

    @property
    def keys(self) -> set[str]:
        """The names of all state tensors, also of those that other processes keep."""
        return set(self._keys)

    def whole_state(self) -> Whole:
        """The state tensors of all processes."""
        mine, once = self.state(), torch.zeros(())
        return {
            key: (mine.get(key), once if key.endswith(":step") else parameter.detach(), parameter)
            for key, parameter in self._keys.items()
        }

    def state(self) -> dict[str, Tensor]:
        """Every state tensor of this process as `parameter:key`, not copied: filling them restores the state."""
        return {
            f"{self._names[parameter]}:{key}": value
            for part in self.parts
            for parameter, values in part.state.items()
            for key, value in values.items()
        }
