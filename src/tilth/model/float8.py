"""Products of projections in 8-bit floats, in the forward pass and in the backward pass.

Inputs and weights are rounded to E4M3 (up to 448), gradients to E5M2 (up to 57,344), the formats of Micikevicius et al.
2022, "FP8 Formats for Deep Learning" (arXiv:2209.05433). Each tensor is first multiplied by the largest power of two
under which its own largest value stays in range: that is exact, and a power more or less is no digit less in a float.
Sums are of fp32, but in the forward pass on a GPU of the fewer bits of its fast sums; what a product gives is in the
dtype of its input, the gradient of a weight in the weight's.

Nothing is kept in 8 bits: the backward pass wants each factor in another layout, so it rounds inputs and weights again.
What is kept is what products in half precision keep, less their copies of the weights.

Shapes: N tokens, I inputs, O outputs, all three multiples of 16.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_SMALLEST = 2.0**-100
"""Largest values below are taken for it: no scale is infinite."""


def product(x_NI: Tensor, weight_OI: Tensor) -> Tensor:
    """x Wᵀ, N×O in the dtype of x (bf16; any on a CPU, where this gains no time)."""
    output: Tensor = _Product.apply(x_NI, weight_OI)
    return output


def rounded(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """x in an 8-bit float, and the fp32 scalar to multiply it by; what is not finite makes all of it NaN."""
    largest = x.abs().amax().to(torch.float32).clamp(min=_SMALLEST)
    scale = torch.exp2(torch.floor(torch.log2(torch.finfo(dtype).max / largest)))
    return (x * scale.to(x.dtype)).to(dtype), 1 / scale


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NI: Tensor, weight_OI: Tensor) -> Tensor:
        ctx.save_for_backward(x_NI, weight_OI)
        x, x_scale = rounded(x_NI, torch.float8_e4m3fn)
        weight, weight_scale = rounded(weight_OI, torch.float8_e4m3fn)
        # fast sums forwards and not backwards: as all of the field has it
        return torch._scaled_mm(x, weight.T, x_scale, weight_scale, out_dtype=x_NI.dtype, use_fast_accum=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NO: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x_NI, weight_OI = ctx.saved_tensors
        grad, grad_scale = rounded(grad_NO.contiguous(), torch.float8_e5m2)  # the first factor must lie by rows
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            weight, scale = rounded(weight_OI, torch.float8_e4m3fn)
            grad_x = torch._scaled_mm(grad, _columns(weight), grad_scale, scale, out_dtype=grad_NO.dtype)
        if ctx.needs_input_grad[1]:
            x, scale = rounded(x_NI, torch.float8_e4m3fn)
            grad_weight = torch._scaled_mm(
                grad.T.contiguous(), _columns(x), grad_scale, scale, out_dtype=weight_OI.dtype
            )
        return grad_x, grad_weight


def _columns(matrix: Tensor) -> Tensor:
    """The same matrix, column behind column in memory: the second factor must lie so."""
    return matrix.T.contiguous().T
