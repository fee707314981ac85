"""What stands between a decoder's products, row by row in fp32: norms, rotary positions, SwiGLU.

Shapes: N rows, H hidden, M heads of width D (queries, then keys, then values), F width of the feed-forward.
Helpers take pointers and places, not arrays: numba would count references to each at every call.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from tilth.base.jit import helper, jit, pointer, summing
from tilth.model.kernels.panels import in_shares


def _power_of_two(context: Any, exponent: Any) -> Any:
    """power_of_two(n): 2ⁿ as fp32, for an int32 n between -126 and 127."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
        i32 = ir.IntType(32)
        bits = builder.shl(builder.add(values[0], i32(127)), i32(23))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.int32), generate


power_of_two: Any = intrinsic(_power_of_two)


_LOG2_E, _LN2_HIGH, _LN2_LOW, _LEAST = map(np.float32, (1.44269504, 0.693359375, -2.12194440e-4, -87.0))
_HALF, ONE, ZERO = map(np.float32, (0.5, 1.0, 0.0))
_P0, _P1, _P2, _P3, _P4 = map(np.float32, (1.9875691e-4, 1.3981999e-3, 8.3334519e-3, 4.1665796e-2, 1.6666665e-1))


@helper
def exp(x):  # type: ignore[no-untyped-def]
    """eˣ for x ≤ 0, to about an unit in the last place: the polynomial of Cephes' expf (Moshier), without branches."""
    x = max(x, _LEAST)
    n = np.int32(x * _LOG2_E - _HALF)
    whole = np.float32(n)
    x = x - whole * _LN2_HIGH - whole * _LN2_LOW
    p = ((((_P0 * x + _P1) * x + _P2) * x + _P3) * x + _P4) * x + _HALF
    return (p * x * x + x + ONE) * power_of_two(n)


@summing
def dot(a, at, b, bt, width):  # type: ignore[no-untyped-def]
    total = ZERO
    for i in range(width):
        total += a[at + i] * b[bt + i]
    return total


@summing
def total(x, count):  # type: ignore[no-untyped-def]
    total = ZERO
    for i in range(count):
        total += x[i]
    return total


@helper
def normalise(x, at, weight, wt, floor, out, ot, width):  # type: ignore[no-untyped-def]
    """RMSNorm without its √width, which stands in the weight: x / √(Σx² + floor) · weight."""
    scale = ONE / np.sqrt(dot(x, at, x, at, width) + floor)
    for i in range(width):
        out[ot + i] = x[at + i] * scale * weight[wt + i]


@helper
def _rotate(head, cos, sin, table, factor, out, ot, width):  # type: ignore[no-untyped-def]
    """Rotary positions, half-split, times `factor`; the sine of the first half is negative."""
    half = width // 2
    for i in range(half):
        low, high = head[i] * factor, head[i + half] * factor
        out[ot + i] = low * cos[table + i] + high * sin[table + i]
        out[ot + i + half] = high * cos[table + i + half] + low * sin[table + i + half]


@helper
def swiglu(gate_up, top, bottom, width, first, last, out):  # type: ignore[no-untyped-def]
    """silu(gate) · up for the rows from `top` to `bottom` and the columns from `first` to `last`."""
    for r in range(top, bottom):
        gate, up = 2 * r * width, (2 * r + 1) * width
        for i in range(first, last):
            x = gate_up[gate + i]
            e = exp(-abs(x))
            out[r * width + i] = x * ((ONE if x > ZERO else e) / (ONE + e)) * gate_up[up + i]


@helper
def head(qkv, at, norms, wt, floor, cos, sin, table, factor, scratch, out, ot, width):  # type: ignore[no-untyped-def]
    """A query or key head as attention wants it: behind its norm where there is one (wt ≥ 0), rotated, scaled."""
    if wt >= 0:
        normalise(qkv, at, norms, wt, floor, scratch, 0, width)
    else:
        for i in range(width):
            scratch[i] = qkv[at + i]
    _rotate(scratch, cos, sin, table, factor, out, ot, width)


_F1, _F2 = (types.Array(types.float32, dimensions, "C") for dimensions in (1, 2))
_I1, _INT = types.Array(types.int64, 1, "C"), types.int64


@jit(types.void(_F2, _F1, types.float32, _F2, _INT, _INT))
def _normalise_rows(x_NH, weight_H, floor, out_NH, first, last):  # type: ignore[no-untyped-def]
    width = x_NH.shape[1]
    x, weight, out = pointer(x_NH), pointer(weight_H), pointer(out_NH)
    for r in range(first, last):
        normalise(x, r * width, weight, 0, floor, out, r * width, width)


@jit(types.void(_F2, _F2, types.float32, _I1, _F2, _F2, _INT, _INT, _INT))
def _turn_rows(qkv_NW, norms_MD, floor, positions_N, cos_PD, sin_PD, turned, first, last):  # type: ignore[no-untyped-def]
    width, wide = cos_PD.shape[1], qkv_NW.shape[1]
    own = np.empty(width, np.float32)
    qkv, norms, cos, sin, scratch = pointer(qkv_NW), pointer(norms_MD), pointer(cos_PD), pointer(sin_PD), pointer(own)
    for r in range(first, last):
        for m in range(turned):
            at, norm = r * wide + m * width, m * width if len(norms_MD) else -1
            head(qkv, at, norms, norm, floor, cos, sin, positions_N[r] * width, ONE, scratch, qkv, at, width)
    own[0] = ZERO  # a pointer keeps no array alive: without a last use here numba would free it at once


@jit(types.void(_F2, _F2, _INT, _INT))
def _swiglu_rows(gate_up_N2F, act_NF, first, last):  # type: ignore[no-untyped-def]
    width = act_NF.shape[1]
    swiglu(pointer(gate_up_N2F), first, last, width, 0, width, pointer(act_NF))


def normalise_rows(x_NH: Tensor, weight_H: Tensor, floor: float) -> Tensor:
    """x / √(Σx² + floor) · weight: RMSNorm, whose √H stands in the weight; floor is H · eps."""
    out = torch.empty_like(x_NH)
    in_shares(_normalise_rows, (x_NH.numpy(), weight_H.numpy(), floor, out.numpy()), len(x_NH), x_NH.numel())
    return out


def turn_rows(
    qkv_NW: Tensor,
    norms_MD: Tensor | None,
    floor: float,
    positions_N: Tensor,
    rotary: tuple[Tensor, Tensor],
    turned: int,
) -> None:
    """The first `turned` heads of each row, in place: behind their norms, if there are some, and rotated."""
    norms = np.empty((0, 0), np.float32) if norms_MD is None else norms_MD.numpy()
    tables = (table.numpy() for table in rotary)
    arguments = (qkv_NW.numpy(), norms, floor, positions_N.numpy(), *tables, turned)
    in_shares(_turn_rows, arguments, len(qkv_NW), qkv_NW.numel())


def swiglu_rows(gate_up_N2F: Tensor) -> Tensor:
    """silu(gate) · up, N×F."""
    act = torch.empty(len(gate_up_N2F), gate_up_N2F.shape[1] // 2)
    in_shares(_swiglu_rows, (gate_up_N2F.numpy(), act.numpy()), len(act), gate_up_N2F.numel())
    return act
