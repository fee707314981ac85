"""Products with weights that stay as they are, kept as the CPU multiplies fastest.

Measured on one core with a model of 20 M parameters, milliseconds for all products of a step:

| dtype | rows | output × input, as a Linear's | input × output | packed by oneDNN |
|---|---|---|---|---|
| fp32 | 1 | 5.1 | 3.5 | 5.4 |
| fp32 | 16 | 11.2 | 12.8 | 8.8 |
| bf16 | 1 | 4.1 | 4.8 | 2.2 |
| bf16 | 16 | 5.8 | 4.1 | 3.0 |
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_onednn: Any = torch.ops.mkldnn
_OPERATORS = ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported")
"""Private to PyTorch: where one is missing, weights are not packed."""


class Product:
    """x @ weightᵀ + bias. On a CPU the weight is packed for oneDNN; in fp32 it is there twice, for single rows too."""

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None = None) -> None:
        self.bias = bias_O
        self.packed: Tensor | None = None
        self.matrix: Tensor | None = weight_OI.T
        if _packs(weight_OI):
            self.packed = _onednn._reorder_linear_weight(weight_OI.contiguous(), None)
            self.matrix = weight_OI.T.contiguous() if weight_OI.dtype == torch.float32 else None

    def __call__(self, x_NI: Tensor) -> Tensor:
        """N×O, memory of its own."""
        if self.matrix is None or (self.packed is not None and len(x_NI) > 1):
            found: Tensor = _onednn._linear_pointwise(x_NI, self.packed, self.bias, "none", [], "")
            return found
        return torch.mm(x_NI, self.matrix) if self.bias is None else torch.addmm(self.bias, x_NI, self.matrix)


def _packs(weight: Tensor) -> bool:
    """Whether this PyTorch packs such a weight (what torch.compile packs a frozen model's with)."""
    there = all(hasattr(_onednn, name) for name in _OPERATORS)
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available() or not there:
        return False
    if weight.dtype == torch.bfloat16:
        return bool(_onednn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32
