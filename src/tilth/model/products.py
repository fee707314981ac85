"""Products with weights that stay as they are, kept as the CPU multiplies fastest.

Measured on one core with a model of 20 M parameters, milliseconds for all products of a step (EPYC with AVX-512; in
brackets a Xeon with AMX):

| dtype | rows | as a Linear's | packed by oneDNN | in panels | in panels of bf16 |
|---|---|---|---|---|---|
| fp32 | 1 | 7.3 (5.1) | (5.4) | 2.9 | 1.6 |
| fp32 | 16 | 14.6 (11.2) | 8.7 (8.8) | 9.2 | 7.3 |
| fp32 | 128 | 56 | | 51 | 50 |
| bf16 | 1 | (4.1) | (2.2) | | |
| bf16 | 16 | (5.8) | (3.0) | | |
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

_onednn: Any = torch.ops.mkldnn
_OPERATORS = ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported")
"""Private to PyTorch: where one is missing, weights are not packed."""


def product_speed(dtype: torch.dtype, runs: int = 3, products: int = 1) -> float:
    """FLOP/s of a matrix product on this CPU with the threads that are set: the best of `runs` of `products` each."""
    a, b = torch.randn(2048, 512, dtype=dtype), torch.randn(1024, 512, dtype=dtype)
    best = 0.0
    torch.nn.functional.linear(a, b)  # the first call allocates and chooses its kernel
    for _ in range(runs):
        started = time.perf_counter()
        for _ in range(products):
            torch.nn.functional.linear(a, b)
        best = max(best, products * 2.0 * 2048 * 512 * 1024 / (time.perf_counter() - started))
    return best


class Product:
    """x @ weightᵀ + bias in the dtype `dtype`; the weight may be of bf16 for products in fp32, on a CPU.

    On a CPU fp32 products have their weight in panels (`kernels`), bf16 ones packed for oneDNN.
    """

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None = None, *, dtype: torch.dtype | None = None) -> None:
        self.bias, self.outputs = bias_O, len(weight_OI)
        self.panels: Tensor | None = None
        self.packed: Tensor | None = None
        self.matrix: Tensor | None = None
        if weight_OI.device.type == "cpu" and (dtype or weight_OI.dtype) == torch.float32:
            from tilth.model.kernels.panels import pack

            self.panels = pack(weight_OI)
        elif _packs(weight_OI):
            self.packed = _onednn._reorder_linear_weight(weight_OI.contiguous(), None)
        else:
            self.matrix = weight_OI.T

    def __call__(self, x_NI: Tensor) -> Tensor:
        """N×O, memory of its own."""
        if self.panels is not None:
            from tilth.model.kernels.panels import multiply

            y_NO = multiply(x_NI, self.panels, self.outputs)
            return y_NO if self.bias is None else y_NO.add_(self.bias)
        if self.packed is not None:
            found: Tensor = _onednn._linear_pointwise(x_NI, self.packed, self.bias, "none", [], "")
            return found
        assert self.matrix is not None
        return torch.mm(x_NI, self.matrix) if self.bias is None else torch.addmm(self.bias, x_NI, self.matrix)


def _packs(weight: Tensor) -> bool:
    """Whether this PyTorch packs such a weight (what torch.compile packs a frozen model's with)."""
    there = all(hasattr(_onednn, name) for name in _OPERATORS)
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available() or not there:
        return False
    return weight.dtype == torch.bfloat16 and bool(_onednn._is_mkldnn_bf16_supported())
