"""Muon: momentum whose update is orthogonalised by Newton–Schulz iteration.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; Liu et al. 2025, "Muon is Scalable for
LLM Training" (arXiv:2502.16982) for decoupled weight decay and for the `adamw` scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
STACK_ELEMENTS = 2**25
"""Matrices of one shape are orthogonalised together, up to this many elements at a time."""


def orthogonalise(x_KRC: Tensor, dtype: torch.dtype) -> Tensor:
    """The nearest semi-orthogonal matrix U Vᵀ of every R×C matrix, roughly: singular values end in about [0.7, 1.2].

    Five steps of X ← aX + b(XXᵀ)X + c(XXᵀ)²X from X / ‖X‖, with the smaller side first; products in `dtype`.
    """
    a, b, c = COEFFICIENTS
    tall = x_KRC.shape[-2] > x_KRC.shape[-1]
    x = (x_KRC.mT if tall else x_KRC).to(dtype)
    x = x / (torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised update, decoupled weight decay; for matrices only.

    `scale`: `shape` multiplies the update by sqrt(max(1, rows / columns)) (Jordan), `adamw` by 0.2 · sqrt(max(rows,
    columns)), which gives elements the root mean square that AdamW's usually have, so that one rate serves both (Liu).
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | list[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        scale: str = "shape",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(
            parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "scale": scale, "dtype": dtype}
        )
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, matrices in by_shape.items():
                at_once = max(1, STACK_ELEMENTS // shape.numel())
                for start in range(0, len(matrices), at_once):
                    self._update(matrices[start : start + at_once], group)

    def _update(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        rows, columns = matrices[0].shape
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        momenta = [self.state[matrix]["momentum"] for matrix in matrices]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        nesterov = torch._foreach_lerp(gradients, momenta, group["momentum"])
        updates_KRC = orthogonalise(torch.stack(nesterov), group["dtype"])
        factor = math.sqrt(max(1, rows / columns)) if group["scale"] == "shape" else 0.2 * math.sqrt(max(rows, columns))
        torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
        updates = list(updates_KRC.to(matrices[0].dtype).unbind())
        torch._foreach_add_(matrices, updates, alpha=-group["lr"] * factor)
